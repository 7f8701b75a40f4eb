//! Fences in memory, in front of their home in the store.
//!
//! A write holds its scope's stripe while it is decided and put into its shard's log; raising a fence takes the stripe
//! whole. The flusher takes fences before it takes logs. So a write that was decided before a raise is stored with it or
//! before it, and after the raise none is decided.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::oneshot;

use crate::{
    domain::{
        Fence, Standing,
        fence::{raise, standing},
    },
    embedded::shard::Stored,
    store::{FenceChange, FenceScope, Unstored},
    write::Holder,
};

const STRIPES: usize = 16;

/// One scope, as far as it is known.
#[derive(Debug)]
struct Known {
    /// As the store has it, or will have it.
    fence: Option<Fence>,
    /// Whether the store has it.
    stored: bool,
}

#[derive(Debug, Default)]
struct Stripe {
    known: HashMap<FenceScope, Known>,
    /// How often it forgot something.
    shrinks: u64,
}

/// The right to install what the store has for a scope: a read that took longer than the memory of what happened
/// meanwhile must not bring a fallen fence back.
#[derive(Debug, Clone, Copy)]
pub struct FenceTicket(u64);

/// A change on its way to the store.
#[derive(Debug)]
pub struct Pending {
    /// What changes.
    pub change: FenceChange,
    ack: oneshot::Sender<Stored>,
}

/// All fences.
#[derive(Debug)]
pub struct Fences {
    stripes: [RwLock<Stripe>; STRIPES],
    hasher: RandomState,
    stripe_max: usize,
    log: Mutex<Vec<Pending>>,
    floor: AtomicU64,
}

/// A fence that cannot rise while this is held.
#[derive(Debug)]
pub struct Held<'f> {
    _stripe: RwLockReadGuard<'f, Stripe>,
}

/// What a token meets.
#[derive(Debug)]
pub enum Check<'f> {
    /// It may write while this is held.
    Holds(Held<'f>),
    /// The scope is to be read from the store first.
    Load,
    /// Its fence is to be registered first.
    Register,
    /// It is refused.
    Refused(Standing),
}

/// What asking for a change meets.
#[derive(Debug)]
pub enum Change {
    /// It is so, durably.
    Done,
    /// It is so once this is stored.
    Pending(oneshot::Receiver<Stored>),
    /// The scope is to be read from the store first.
    Load,
    /// It is refused.
    Refused(Standing),
}

impl Fences {
    /// Remembers at most about `scopes_max` scopes; forgets nothing below `floor` that it needs to remember.
    pub fn new(scopes_max: usize, floor: u64) -> Self {
        Self {
            stripes: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            stripe_max: (scopes_max / STRIPES).max(1),
            log: Mutex::default(),
            floor: AtomicU64::new(floor),
        }
    }

    fn stripe(&self, scope: &FenceScope) -> &RwLock<Stripe> {
        &self.stripes[self.hasher.hash_one(scope) as usize % STRIPES]
    }

    /// Whether a token may write.
    pub fn check(&self, holder: &Holder) -> Check<'_> {
        let stripe = self.stripe(&holder.scope).read();
        let Some(known) = stripe.known.get(&holder.scope) else { return Check::Load };
        match standing(known.fence.as_ref(), self.floor.load(Relaxed), holder.number, &holder.lease) {
            Standing::Holds if known.stored => Check::Holds(Held { _stripe: stripe }),
            Standing::Holds | Standing::Newer => Check::Register,
            refused => Check::Refused(refused),
        }
    }

    /// Makes a token's fence the one that counts.
    pub fn register(&self, holder: &Holder) -> Change {
        let mut stripe = self.stripe(&holder.scope).write();
        let Some(known) = stripe.known.get_mut(&holder.scope) else { return Change::Load };
        match standing(known.fence.as_ref(), self.floor.load(Relaxed), holder.number, &holder.lease) {
            Standing::Holds if known.stored => Change::Done,
            Standing::Holds | Standing::Newer => {
                let fence = Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) };
                self.change(known, &holder.scope, fence)
            }
            refused => Change::Refused(refused),
        }
    }

    /// Ends every lease of a scope up to a fence.
    pub fn raise(&self, scope: &FenceScope, number: u64) -> Change {
        let mut stripe = self.stripe(scope).write();
        let Some(known) = stripe.known.get_mut(scope) else { return Change::Load };
        match (raise(known.fence.as_ref(), number), &known.fence) {
            (Some(raised), _) => self.change(known, scope, raised),
            (None, Some(fence)) if !known.stored => {
                let fence = fence.clone();
                self.change(known, scope, fence)
            }
            (None, _) => Change::Done,
        }
    }

    /// In memory the fence rises at once: whoever it supersedes is refused even before it is stored.
    fn change(&self, known: &mut Known, scope: &FenceScope, fence: Fence) -> Change {
        *known = Known { fence: Some(fence.clone()), stored: false };
        let (ack, stored) = oneshot::channel();
        self.log.lock().push(Pending { change: FenceChange { scope: scope.clone(), fence }, ack });
        Change::Pending(stored)
    }

    /// To be taken before the store is read.
    pub fn ticket(&self, scope: &FenceScope) -> FenceTicket {
        FenceTicket(self.stripe(scope).read().shrinks)
    }

    /// Puts in what the store has, unless the scope is known already, or was and is forgotten since the ticket.
    pub fn install(&self, scope: &FenceScope, ticket: FenceTicket, fence: Option<Fence>) {
        let mut stripe = self.stripe(scope).write();
        if ticket.0 != stripe.shrinks {
            return;
        }
        if stripe.known.len() >= self.stripe_max {
            Self::shrink(&mut stripe);
        }
        stripe.known.entry(scope.clone()).or_insert(Known { fence, stored: true });
    }

    /// Forgets every other scope that is stored; they are read again when they are asked for.
    fn shrink(stripe: &mut Stripe) {
        stripe.shrinks += 1;
        // Each time the other half, so that none stays for ever.
        let mut spare = stripe.shrinks.is_multiple_of(2);
        stripe.known.retain(|_, known| {
            spare = !spare;
            !known.stored || spare
        });
    }

    /// The changes that wait for the store.
    pub fn take(&self) -> Vec<Pending> {
        std::mem::take(&mut self.log.lock())
    }

    /// They are stored.
    pub fn release(&self, pending: Vec<Pending>) {
        for Pending { change, ack } in pending {
            if let Some(known) = self.stripe(&change.scope).write().known.get_mut(&change.scope)
                && known.fence.as_ref() == Some(&change.fence)
            {
                known.stored = true;
            }
            // A caller that went away needs no answer.
            let _ = ack.send(Ok(()));
        }
    }

    /// They are not: their callers try again, and what they supersede stays refused.
    pub fn refuse(pending: Vec<Pending>, unstored: &Unstored) {
        for Pending { ack, .. } in pending {
            let _ = ack.send(Err(unstored.clone()));
        }
    }

    /// Refuses tokens below a fence from now on. It never falls.
    pub fn raise_floor(&self, floor: u64) -> u64 {
        self.floor.fetch_max(floor, Relaxed).max(floor)
    }
}

#[cfg(test)]
mod tests;
