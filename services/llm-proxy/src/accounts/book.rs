//! The accounts that this process knows, and which of them are in use. Bounded: an account that nobody uses is forgotten
//! for a new one, and read again when its owner comes back.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{Account, Owner};
use crate::metrics;

/// Accounts known at once. Those that are to be kept first are known beyond that, up to twice as many.
const ACCOUNTS_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Book {
    accounts: Mutex<HashMap<Owner, Arc<Account>>>,
    /// Used since the last round.
    used: Mutex<Vec<Arc<Account>>>,
    openings: AtomicU64,
    most: usize,
}

impl Default for Book {
    fn default() -> Self {
        Self::holding(ACCOUNTS_MAX)
    }
}

impl Book {
    pub(super) fn holding(most: usize) -> Self {
        Self { accounts: Mutex::default(), used: Mutex::default(), openings: AtomicU64::new(0), most }
    }

    /// The account of somebody. While it is held, it is not forgotten.
    pub(super) fn open(&self, owner: Owner, limit: u64, wall: i64) -> Arc<Account> {
        let mut accounts = self.accounts.lock();
        let account = match accounts.get(&owner) {
            Some(account) => Arc::clone(account),
            None => {
                make_room(&mut accounts, self.most);
                let account = Arc::new(Account::new(owner.clone(), limit, owner.day(wall)));
                accounts.insert(owner, Arc::clone(&account));
                account
            }
        };
        drop(accounts);
        account.opened.store(self.openings.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        account
    }

    /// Puts an account on the list of those to look after: after it was used, so that the use is seen.
    pub(super) fn list(&self, account: &Arc<Account>) {
        if !account.listed.swap(true, Ordering::AcqRel) {
            self.used.lock().push(Arc::clone(account));
        }
    }

    /// Takes the list. Each account of it is in use until it is let go.
    pub(super) fn take_used(&self) -> Vec<Arc<Account>> {
        std::mem::take(&mut self.used.lock())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.lock().len()
    }
}

/// Forgets a quarter of the accounts, those longest unused. Calls and the duty hold what they use; only where even that is
/// too much (the state service is away, and nothing can be kept), what is merely waiting to be kept goes too.
fn make_room(accounts: &mut HashMap<Owner, Arc<Account>>, most: usize) {
    if accounts.len() < most {
        return;
    }
    let crowded = accounts.len() >= 2 * most;
    let may_go = |account: &&Arc<Account>| match Arc::strong_count(account) {
        1 => true,
        2 => crowded && account.listed.load(Ordering::Acquire),
        _ => false,
    };
    let opened = |account: &Arc<Account>| (account.opened.load(Ordering::Relaxed), account.owner.clone());
    let mut idle: Vec<_> = accounts.values().filter(may_go).map(opened).collect();
    idle.sort_unstable_by_key(|(opened, _)| *opened);
    for (_, owner) in idle.into_iter().take((most / 4).max(1)) {
        let forgotten = accounts.remove(&owner).is_some_and(|account| account.forget());
        if forgotten {
            metrics::accounts::forgotten();
        }
    }
}
