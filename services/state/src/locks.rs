//! Locks: fenced, held for a time, and given in the order in which they were asked for.
//!
//! A lock is three hidden records of its partition. The *lock* says whose it is; only a change of hands writes it, so its
//! revision is the fence, and a write under a guard is refused once it is another's. The *renewal* is its holder's last sign
//! of life, written under the same guard. The *line* says who waits, in order. Every step is one batch, DURABLE, under the
//! versions of the records that it rests on:
//!
//! ```text
//!            acquire                 release                       claim
//!   free ──────────────► held ───────────────────────► offered ─────────────► held …
//!     ▲                  │  ▲ renew                    to the first │
//!     └──────────────────┘  └─┐                        in line      │ no claim for 3 s: to the next,
//!      release, no line       └ no renewal for its ttl: ◄───────────┘ and its desk's callers leave the line
//!                               offered to the first in line
//! ```
//!
//! **Nobody's wall clock decides.** A process takes a lock for lapsed when it has seen lock and renewal unchanged for the
//! whole time by its own monotonic clock, counted from when it first saw them so; and it takes it over under both versions.
//! So a renewal that was acknowledged is never overlooked, and a holder that counts from before it asked is never surprised.
//!
//! **A process speaks for its callers** by one *desk* for each lock: it looks once for all of them, woken by news of the
//! shard, by neighbours, or a slow poll. What is handed over to a caller is an offer until its desk claims it. A desk takes
//! callers out of the line that went away; of a process that died, the first offer lapses after [`view::OFFER`] and takes
//! everybody out for whom that desk spoke, so however many they were, they hold the line up once. Who stands in line for
//! longer than it said to wait is taken out by the other desks that see it. A process that was only slow finds its callers
//! missing, and lines them up anew.
//!
//! **A repeat** (the same request id) gets the place or the lock that it has already, also at another process: that desk
//! speaks for it from then on. A desk gives a lock back that its caller did not hear of, unless another speaks for it, or the
//! holder has renewed it.

mod desk;
mod desks;
mod plan;
mod records;
mod seen;
mod view;

use std::{sync::Arc, time::Duration};

use holdfast_rpc::time::now_micros;
use uuid::Uuid;

use self::{
    plan::Step,
    records::{LOCK, Places},
    view::View,
};
use crate::{
    domain::{HIDDEN, Micros, Partition},
    failed::Failed,
    state::State,
    store::PageQuery,
    write::{Command, Durability, Holder, Refusal},
};

pub(crate) use desks::Desks;

/// A page of locks is small: bounded in number only.
const PAGE_BYTES: usize = 4 << 20;

/// Asks for a lock.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// The partition whose records it guards.
    pub partition: Partition,
    /// The lock's name: one that was checked as a key is.
    pub name: Arc<str>,
    /// How long it is held without renewal.
    pub ttl: Duration,
    /// How long to wait in line; zero: not at all.
    pub wait: Duration,
    /// The caller's id for it: a repeat gets the place in line, or the lock, that it has already.
    pub request_id: Uuid,
    /// Who asks, for people: the invocation, or the principal outside of one.
    pub holder: Arc<str>,
    /// The lease under which it asks.
    pub lease: Option<Holder>,
}

/// A lock that somebody says to hold: for renewing it, or giving it back.
#[derive(Debug, Clone)]
pub struct Held {
    /// The partition.
    pub partition: Partition,
    /// The lock's name.
    pub name: Arc<str>,
    /// Its fence.
    pub fence: u64,
    /// The lease under which the caller acts.
    pub lease: Option<Holder>,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: Arc<str>,
    /// Rises with each holder.
    pub fence: u64,
    /// The invocation that holds it, or the principal outside of one.
    pub holder: Arc<str>,
    /// How long it is held without renewal.
    pub ttl: Duration,
    /// When it was taken.
    pub acquired: Micros,
    /// How many wait in line behind it.
    pub waiting: usize,
}

impl State {
    /// Takes a lock, waiting in line for it.
    ///
    /// # Errors
    /// [`Failed::LockHeld`] where the wait ends first, [`Failed::Full`] where the line is full, [`Failed::Fenced`] where the
    /// lease is superseded, or trouble with the stores.
    pub async fn acquire(&self, acquire: Acquire) -> Result<Lock, Failed> {
        if let Some(lease) = &acquire.lease {
            self.register_fence(lease).await?;
        }
        self.desks().ask(acquire).await
    }

    /// Starts a lock's time anew.
    ///
    /// # Errors
    /// A refusal ([`Refusal::LockLost`]) where another has it, or nobody; [`Failed::Fenced`]; or trouble with the stores.
    pub async fn renew(&self, held: &Held) -> Result<(), Failed> {
        let places = Places::of(&held.partition, &held.name);
        loop {
            let view = View::read(&**self.decider(), places.clone()).await?;
            if !view.is_held_under(held.fence) {
                let address = places.lock;
                return Err(Failed::Refused(Box::new(Refusal::LockLost { address })));
            }
            if self.take_step(plan::renew(&view), held).await? {
                return Ok(());
            }
        }
    }

    /// Gives a lock back: the next in line has it. Giving back what is lost is no error.
    ///
    /// # Errors
    /// [`Failed::Fenced`], or trouble with the stores.
    pub async fn release(&self, held: &Held) -> Result<(), Failed> {
        let places = Places::of(&held.partition, &held.name);
        loop {
            let view = View::read(&**self.decider(), places.clone()).await?;
            if !view.is_held_under(held.fence) {
                return Ok(());
            }
            if self.take_step(plan::release(&view, now_micros()), held).await? {
                self.desks().nudge(&places.lock);
                return Ok(());
            }
        }
    }

    /// Whether the step was taken; not where the records have moved on.
    async fn take_step(&self, step: Step, held: &Held) -> Result<bool, Failed> {
        let Step { writes, guard, gives_to: _ } = step;
        let command = Command {
            writes,
            guard,
            write_id: None,
            invocation_id: "".into(),
            durability: Durability::Durable,
            now: now_micros(),
        };
        match self.decider().write(&command, held.lease.as_ref()).await {
            Ok(_) => Ok(true),
            Err(Failed::Refused(_)) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    /// The locks of a partition that are held, by name, behind the name `after`.
    ///
    /// # Errors
    /// Trouble with the stores.
    pub async fn locks(&self, partition: &Partition, after: &str, most: usize) -> Result<Vec<Lock>, Failed> {
        let query = PageQuery {
            partition: partition.clone(),
            prefix: partition.hidden(LOCK, "").key().to_owned(),
            after: partition.hidden(LOCK, after).key().to_owned(),
            records: most,
            bytes: PAGE_BYTES,
        };
        let page = self.decider().list(query).await?;
        let names = page.records.iter().map(|(address, _)| address.key().rsplit(HIDDEN).next().unwrap_or_default());
        let places = names.map(|name| Places::of(partition, name)).collect();
        let views = View::read_all(&**self.decider(), places).await?;
        Ok(views.iter().filter_map(View::lock).collect())
    }
}

#[cfg(test)]
mod tests;
