//! Filling the cache from the store: one read at a time for each record.
//!
//! A fill leaves a ticket before it reads, and installs what it read only if its ticket is still there: a slow one must not
//! put back a past that was changed and evicted meanwhile.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use super::{Found, Shard};
use crate::domain::{Address, Edition};

/// The right to install what the store has for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Somebody waits for the fill of a record.
pub type Filled = oneshot::Receiver<Found>;

/// What a look into the cache finds.
#[derive(Debug)]
pub enum Look {
    /// The record as readers see it.
    Here(Option<Arc<Edition>>),
    /// It is being read.
    Filling(Filled),
    /// The one who asked reads it, and installs it by this ticket.
    Fill(Ticket, Filled),
}

#[derive(Debug, Default)]
pub(super) struct Fills {
    open: HashMap<Address, (Ticket, Vec<oneshot::Sender<Found>>)>,
    given: u64,
}

impl Shard {
    /// Looks a record up. On [`Look::Fill`] the caller owes an [`Self::install`].
    pub fn look(&self, address: &Address) -> Look {
        let mut inner = self.lock();
        if let Some(slot) = inner.cache.get(address) {
            return Look::Here(slot.visible.clone());
        }
        let (waiter, filled) = oneshot::channel();
        let fills = &mut inner.fills;
        match fills.open.get_mut(address) {
            Some((_, waiters)) => {
                waiters.push(waiter);
                Look::Filling(filled)
            }
            None => {
                fills.given += 1;
                let ticket = Ticket(fills.given);
                fills.open.insert(address.clone(), (ticket, vec![waiter]));
                Look::Fill(ticket, filled)
            }
        }
    }

    /// Ends a fill: installs what was read, and answers all who wait for it.
    pub fn install(&self, address: &Address, ticket: Ticket, found: Found) {
        let mut inner = self.lock();
        if inner.fills.open.get(address).is_none_or(|(open, _)| *open != ticket) {
            return;
        }
        let waiters = inner.fills.open.remove(address).map(|(_, waiters)| waiters).unwrap_or_default();
        if let Ok(edition) = &found {
            inner.cache.install(address, edition.clone());
        }
        drop(inner);
        for waiter in waiters {
            // A caller that went away needs no answer.
            let _ = waiter.send(found.clone());
        }
    }

    /// Keeps records in the cache together until [`Self::unpin`].
    pub fn pin(&self, addresses: &[Address]) {
        let mut inner = self.lock();
        addresses.iter().for_each(|address| inner.cache.pin(address));
    }

    /// Lets them go.
    pub fn unpin(&self, addresses: &[Address]) {
        let mut inner = self.lock();
        addresses.iter().for_each(|address| inner.cache.unpin(address));
        inner.cache.evict();
    }
}
