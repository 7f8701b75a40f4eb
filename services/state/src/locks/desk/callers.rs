//! The callers of a desk.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use crate::{
    failed::Failed,
    locks::{
        Lock,
        desks::{Call, Inbox, Told},
        records::Claimant,
    },
    write::Holder,
};

/// When to come back to a lock that is held: it may be given back at any time …
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
/// … but not in no time.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Callers {
    /// In the order in which they came.
    claimants: Vec<Claimant>,
    calls: HashMap<Uuid, Caller>,
    /// Those to whom the lock may have been given, and who have left since.
    left: HashSet<Uuid>,
    /// What the stores suffer from, since the last look failed.
    trouble: Option<Failed>,
}

/// One request, and all calls that repeat it.
struct Caller {
    lease: Option<Holder>,
    deadline: Instant,
    replies: Vec<oneshot::Sender<Result<Told, Failed>>>,
    /// Whether the lock was looked at for it: it is in line then.
    looked: bool,
    /// Whether the lock may have been given to it.
    given: bool,
}

impl Callers {
    pub(super) fn is_empty(&self) -> bool {
        self.claimants.is_empty()
    }

    pub(super) fn claimants(&self) -> &[Claimant] {
        &self.claimants
    }

    pub(super) fn left(&self) -> &HashSet<Uuid> {
        &self.left
    }

    /// Lets those in that came, and those out that went away or have waited long enough. Returns whether somebody left.
    pub(super) fn turn(&mut self, arrived: Inbox) -> bool {
        let mut departed = !arrived.abandoned.is_empty();
        self.left.extend(arrived.abandoned);
        arrived.calls.into_iter().for_each(|call| self.enter(call));
        let now = Instant::now();
        let gone = |caller: &Caller| caller.replies.iter().all(|reply| reply.is_closed());
        let over = |caller: &Caller| caller.looked && caller.deadline <= now;
        let out: Vec<_> =
            self.calls.iter().filter(|(_, caller)| gone(caller) || over(caller)).map(|(id, _)| *id).collect();
        departed |= !out.is_empty();
        // Who has the lock is not known where nothing can be read.
        let why = self.trouble.clone().unwrap_or(Failed::LockHeld { retry_after: RETRY_AFTER_MIN });
        out.into_iter().for_each(|request| self.fail(request, &why));
        departed
    }

    fn enter(&mut self, call: Call) {
        let Call { claimant, lease, deadline, reply } = call;
        self.left.remove(&claimant.request);
        match self.calls.get_mut(&claimant.request) {
            Some(caller) => {
                caller.deadline = caller.deadline.max(deadline);
                caller.lease = lease;
                caller.replies.push(reply);
            }
            None => {
                let caller = Caller { lease, deadline, replies: vec![reply], looked: false, given: false };
                self.calls.insert(claimant.request, caller);
                self.claimants.push(claimant);
            }
        }
    }

    /// The lock is about to be given to this one; returns its lease.
    pub(super) fn give(&mut self, request: Uuid) -> Option<Holder> {
        let caller = self.calls.get_mut(&request)?;
        caller.given = true;
        caller.lease.clone()
    }

    /// It has the lock.
    pub(super) fn tell(&mut self, request: Uuid, lock: Lock) {
        let Some(caller) = self.remove(request) else { return };
        let given = caller.given;
        let told = caller.replies.into_iter().map(|reply| reply.send(Ok(Told { lock: lock.clone(), given })));
        if told.filter(Result::is_ok).count() == 0 && given {
            self.left.insert(request);
        }
    }

    /// It has not, and does not wait any longer.
    pub(super) fn fail(&mut self, request: Uuid, failed: &Failed) {
        let Some(caller) = self.remove(request) else { return };
        if caller.given {
            self.left.insert(request);
        }
        for reply in caller.replies {
            // Who went away needs no answer.
            let _ = reply.send(Err(failed.clone()));
        }
    }

    /// The stores are in trouble: who came to know that is told so, who stands in line waits for them too.
    pub(super) fn fail_new(&mut self, failed: &Failed) {
        self.trouble = Some(failed.clone());
        self.fail_those(failed, |caller| !caller.looked);
    }

    /// Nothing will come of it any more.
    pub(super) fn fail_all(&mut self, failed: &Failed) {
        self.fail_those(failed, |_| true);
        self.left.clear();
    }

    fn fail_those(&mut self, failed: &Failed, which: impl Fn(&Caller) -> bool) {
        let those: Vec<_> = self.calls.iter().filter(|(_, caller)| which(caller)).map(|(id, _)| *id).collect();
        those.into_iter().for_each(|request| self.fail(request, failed));
    }

    /// The lock is another's, and these have no place in line.
    pub(super) fn turn_away(&mut self, requests: &[Uuid], lapses_in: Duration) {
        let retry_after = lapses_in.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX);
        for request in requests {
            let waits = self.claimants.iter().any(|one| one.request == *request && one.wait_ms > 0);
            let failed = if waits { Failed::Full { retry_after } } else { Failed::LockHeld { retry_after } };
            self.fail(*request, &failed);
        }
    }

    /// All that are left have their place in line, and nothing is given to those that are not.
    pub(super) fn looked(&mut self) {
        self.left.clear();
        self.trouble = None;
        self.calls.values_mut().for_each(|caller| caller.looked = true);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.calls.values().map(|caller| caller.deadline).min()
    }

    fn remove(&mut self, request: Uuid) -> Option<Caller> {
        self.claimants.retain(|one| one.request != request);
        self.calls.remove(&request)
    }
}
