//! Tickets: who left one may install what the store had, as long as it is there.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{domain::Address, place::Ticket, store::FenceScope};

/// So many at once.
const TICKETS_MAX: usize = 4_096;

/// What a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Record(Address),
    Fence(FenceScope),
}

/// The tickets of one shard.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants {
    left: VecDeque<(Wanted, Ticket)>,
    given: u64,
}

impl Wants {
    /// The ticket that is there, or a new one.
    pub(super) fn ticket(&mut self, wanted: Wanted) -> Ticket {
        if let Some((_, ticket)) = self.left.iter().find(|(other, _)| *other == wanted) {
            return ticket.clone();
        }
        if self.left.len() == TICKETS_MAX {
            self.left.pop_front();
        }
        self.given += 1;
        let ticket = Ticket(Bytes::copy_from_slice(&self.given.to_be_bytes()));
        self.left.push_back((wanted, ticket.clone()));
        ticket
    }

    /// Takes the ticket away where it is this one; whether it was.
    pub(super) fn redeem(&mut self, wanted: &Wanted, ticket: &Ticket) -> bool {
        let place = self.left.iter().position(|(other, left)| other == wanted && left == ticket);
        place.is_some_and(|place| self.left.remove(place).is_some())
    }

    /// Takes whatever ticket there is away.
    pub(super) fn void(&mut self, wanted: &Wanted) {
        self.left.retain(|(other, _)| other != wanted);
    }
}

/// A ticket that nothing is installed by.
pub(super) fn void() -> Ticket {
    Ticket(Bytes::new())
}
