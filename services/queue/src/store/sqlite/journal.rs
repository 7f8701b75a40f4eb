//! One batch of commands in one transaction.

use holdfast_storage::Journal;
use rusqlite::Transaction;

use super::super::{Answer, Command};
use super::{accept, claim, settle, tell};

/// Keeps nothing in memory: the tables are the state, so there is nothing to forget after a rollback.
pub(crate) struct QueueJournal;

impl Journal for QueueJournal {
    type Command = Command;
    type Answer = Answer;

    fn size(command: &Command) -> usize {
        command.size()
    }

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        commands
            .iter()
            .map(|command| {
                Ok(match command {
                    Command::Accept(accept) => Answer::Accepted(accept::accept(tx, accept)?),
                    Command::Claim(claim) => Answer::Claimed(claim::claim(tx, claim)?.map(Box::new)),
                    Command::Settle(settle) => Answer::Settled(Box::new(settle::settle(tx, settle)?)),
                    Command::Adopt(adopt) => Answer::Adopted(claim::adopt(tx, adopt)?.map(Box::new)),
                    Command::Tell(tell) => Answer::Told(tell::tell(tx, tell)?),
                    Command::ForgetRaises(raises) => {
                        settle::forget_raises(tx, raises)?;
                        Answer::Forgotten
                    }
                    // Its delayed ones wait in memory: there is nothing to record.
                    Command::Promote(_) => Answer::Promoted(Vec::new()),
                })
            })
            .collect()
    }
}
