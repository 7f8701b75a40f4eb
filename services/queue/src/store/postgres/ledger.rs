//! One batch of commands in one transaction: loaded where it must be, decided in memory, stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use holdfast_storage::{Applied, Class, Decided, Failure, Ledger, Trouble, Witness, Wrote};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::super::apply::apply;
use super::super::{Answer, Command};
use super::announce::Announcer;
use super::due::Looked;
use super::load::{known, load};
use super::remembered::{Left, Remembered};
use super::save::{save, statement, transaction};
use super::set::{Counters, Entry, Set};
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

/// Keeps in memory what this process counts, and what it knows of the leases that it gave.
pub(super) struct QueueLedger {
    pub(super) counters: Counters,
    /// As the batch in hand leaves them.
    next: Counters,
    /// Whether the batch in hand leaves notes for other processes.
    noted: bool,
    /// The earliest deadline that the batch in hand gives.
    deadline: Option<Micros>,
    pub(super) remembered: Remembered,
    left: Left,
    /// Nothing has been stored since what was tried last was not, or since the connection is there: others may have taken this
    /// process for dead.
    is_unsure: bool,
    listeners: Listeners,
}

impl QueueLedger {
    pub(super) fn new(counters: Counters, listeners: Listeners) -> Self {
        Self {
            counters,
            next: counters,
            noted: false,
            deadline: None,
            remembered: Remembered::default(),
            left: Left::default(),
            is_unsure: true,
            listeners,
        }
    }

    /// Where others have taken this process for dead it is known again, and hears that it keeps nothing any more.
    async fn register(&self, tx: &mut PgConnection) -> Result<(), Trouble> {
        let query = sqlx::query(include_str!("register_again.sql")).bind(self.counters.writer).bind(self.counters.rank);
        if query.execute(tx).await?.rows_affected() > 0 {
            self.listeners.forgotten.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What to do once the batch in hand is committed.
    fn leave(&mut self, set: Set) {
        (self.next, self.noted, self.deadline) = (set.counters, !set.news.notes.is_empty(), set.news.deadline());
        self.left = Left::by(set);
    }
}

impl Ledger for QueueLedger {
    type Command = Command;
    type Answer = Answer;

    fn size(command: &Command) -> usize {
        command.size()
    }

    fn decide(&mut self, commands: &[Command], witness: Witness) -> Option<Result<Decided<Answer>, Trouble>> {
        if self.is_unsure {
            return None;
        }
        let mut set = known(self.counters, &self.remembered, commands)?;
        let answers = decide(&mut set, commands);
        // Reports that must make room take a statement more.
        if set.news.told.iter().any(|told| told.clear.is_some()) {
            return None;
        }
        Some(answers.and_then(|answers| {
            let statement = statement(&set, witness)?;
            self.leave(set);
            Ok(Decided { answers, statement })
        }))
    }

    fn answered(&mut self, row: &PgRow) {
        // A number that cannot be read is none: then nothing of it is remembered.
        self.left.transaction = transaction(row).ok();
    }

    async fn apply(
        &mut self,
        tx: &mut PgConnection,
        commands: &[Command],
        witness: Witness,
    ) -> Result<Applied<Answer>, Trouble> {
        let mut set = load(tx, self.counters, &self.remembered, commands).await?;
        let answers = decide(&mut set, commands)?;
        if self.is_unsure {
            self.register(tx).await?;
        }
        let is_read = set.entries.values().all(Entry::is_read);
        let saved = save(tx, &set, witness).await;
        let transaction = if is_read { saved? } else { saved.map_err(again)? };
        self.leave(set);
        self.left.transaction = transaction;
        Ok(Applied { answers, wrote: transaction.map_or(Wrote::Nothing, |_| Wrote::RowsAndWitness) })
    }

    fn committed(&mut self) {
        self.is_unsure = false;
        self.counters = self.next;
        self.remembered.take_in(std::mem::take(&mut self.left));
        self.listeners.last_rank.store(self.counters.rank, Ordering::Relaxed);
        if let Some(deadline) = self.deadline.take() {
            self.listeners.looked.given(deadline);
        }
        if std::mem::take(&mut self.noted) {
            self.listeners.announcer.announce();
        }
    }

    fn rolled_back(&mut self) {
        self.is_unsure = true;
        self.left = Left::default();
        self.remembered.forget();
    }
}

/// The answers to the commands, by what the set knows.
fn decide(set: &mut Set, commands: &[Command]) -> Result<Vec<Answer>, Trouble> {
    let answers = commands.iter().map(|command| apply(set, command)).collect::<Result<Vec<_>, Failure>>()?;
    if set.entries.values().any(Entry::is_unproven) { Err(out_of_date()) } else { Ok(answers) }
}

/// What was remembered is not so any more: another try reads it.
fn out_of_date() -> Trouble {
    Trouble::Again(Failure::new(Class::Busy, "another process has changed an invocation of this batch"))
}

/// What was decided by what was remembered may have met what others left meanwhile.
fn again(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(failure) if failure.class() == Class::Statement => Trouble::Again(failure),
        other => other,
    }
}
