//! One batch of commands in one transaction: loaded, decided in memory, stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use holdfast_storage::{Applied, Failure, Ledger, Trouble};
use sqlx::PgConnection;

use super::super::apply::apply;
use super::super::{Answer, Command};
use super::announce::Announcer;
use super::load::load;
use super::save::{Saved, save};
use super::set::Counters;

/// Keeps nothing in memory but what this process counts.
pub(super) struct QueueLedger {
    counters: Counters,
    /// As the batch in hand leaves them.
    next: Counters,
    /// The last rank that is committed, for whoever asks.
    last_rank: Arc<AtomicI64>,
    /// Others have forgotten this process, and it came back.
    forgotten: Arc<AtomicBool>,
    /// Whether the batch in hand leaves notes for other processes.
    noted: bool,
    announcer: Announcer,
}

impl QueueLedger {
    pub(super) fn new(
        counters: Counters,
        last_rank: Arc<AtomicI64>,
        forgotten: Arc<AtomicBool>,
        announcer: Announcer,
    ) -> Self {
        Self { counters, next: counters, last_rank, forgotten, noted: false, announcer }
    }

    async fn register(&self, tx: &mut PgConnection) -> Result<(), Trouble> {
        sqlx::query(include_str!("register_again.sql"))
            .bind(self.counters.writer)
            .bind(self.counters.rank)
            .execute(tx)
            .await?;
        Ok(())
    }
}

impl Ledger for QueueLedger {
    type Command = Command;
    type Answer = Answer;

    fn size(command: &Command) -> usize {
        command.size()
    }

    async fn apply(&mut self, tx: &mut PgConnection, commands: &[Command]) -> Result<Applied<Answer>, Trouble> {
        let mut set = load(tx, self.counters, commands).await?;
        let answers = commands.iter().map(|command| apply(&mut set, command)).collect::<Result<Vec<_>, Failure>>()?;
        let Saved { transaction, is_forgotten } = save(tx, &set).await?;
        if is_forgotten {
            self.forgotten.store(true, Ordering::Relaxed);
            self.register(tx).await?;
        }
        (self.next, self.noted) = (set.counters, !set.news.notes.is_empty());
        Ok(Applied { answers, transaction })
    }

    fn committed(&mut self) {
        self.counters = self.next;
        self.last_rank.store(self.counters.rank, Ordering::Relaxed);
        if std::mem::take(&mut self.noted) {
            self.announcer.announce();
        }
    }
}
