//! One batch of commands in one transaction.

use holdfast_storage::Journal;
use rusqlite::Transaction;

use super::super::apply::apply;
use super::super::{Answer, Command};
use super::tables::Working;

/// Keeps nothing in memory from one transaction to the next: there is nothing to forget after a rollback.
pub(crate) struct QueueJournal;

impl Journal for QueueJournal {
    type Command = Command;
    type Answer = Answer;

    fn size(command: &Command) -> usize {
        command.size()
    }

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        let mut tables = Working::new(tx);
        let answers = commands.iter().map(|command| apply(&mut tables, command)).collect::<Result<_, _>>()?;
        tables.store()?;
        Ok(answers)
    }
}
