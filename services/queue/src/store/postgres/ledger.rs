//! One batch of commands in one transaction: loaded, decided in memory, stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use holdfast_storage::{Applied, Failure, Ledger, Trouble};
use sqlx::PgConnection;

use super::super::apply::apply;
use super::super::{Answer, Command};
use super::announce::Announcer;
use super::due::Looked;
use super::load::load;
use super::save::{Saved, save};
use super::set::Counters;
use crate::domain::time::Micros;

/// Who hears what has been committed.
pub(super) struct Listeners {
    /// The last rank that is committed, for whoever asks.
    pub(super) last_rank: Arc<AtomicI64>,
    /// Others have forgotten this process, and it came back.
    pub(super) forgotten: Arc<AtomicBool>,
    /// Looks for what is due.
    pub(super) looked: Arc<Looked>,
    pub(super) announcer: Announcer,
}

/// Keeps nothing in memory but what this process counts.
pub(super) struct QueueLedger {
    counters: Counters,
    /// As the batch in hand leaves them.
    next: Counters,
    /// Whether the batch in hand leaves notes for other processes.
    noted: bool,
    /// The earliest deadline that the batch in hand gives.
    deadline: Option<Micros>,
    listeners: Listeners,
}

impl QueueLedger {
    pub(super) fn new(counters: Counters, listeners: Listeners) -> Self {
        Self { counters, next: counters, noted: false, deadline: None, listeners }
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
            self.listeners.forgotten.store(true, Ordering::Relaxed);
            self.register(tx).await?;
        }
        (self.next, self.noted, self.deadline) = (set.counters, !set.news.notes.is_empty(), set.news.deadline());
        Ok(Applied { answers, transaction })
    }

    fn committed(&mut self) {
        self.counters = self.next;
        self.listeners.last_rank.store(self.counters.rank, Ordering::Relaxed);
        if let Some(deadline) = self.deadline.take() {
            self.listeners.looked.given(deadline);
        }
        if std::mem::take(&mut self.noted) {
            self.listeners.announcer.announce();
        }
    }
}
