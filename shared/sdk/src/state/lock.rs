//! Locks: for a critical section that is longer than one write.

mod keeper;

use std::time::{Duration, SystemTime};

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{id, time, trace};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    Error,
    calls::{Limits, later},
    state::{Guard, State, record},
};

use keeper::{Keeper, Standing};

/// How long a lock is held without renewal, unless its request says otherwise.
const TTL_DEFAULT: Duration = Duration::from_secs(30);

/// Asks for a lock of a partition.
#[derive(Debug, Clone)]
pub struct LockRequest {
    namespace: String,
    partition: String,
    name: String,
    ttl: Duration,
    wait: Duration,
    request_id: String,
}

impl LockRequest {
    /// A lock that is held for 30 s without renewal, and not waited for.
    pub fn new(namespace: impl Into<String>, partition: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            partition: partition.into(),
            name: name.into(),
            ttl: TTL_DEFAULT,
            wait: Duration::ZERO,
            request_id: id::new(),
        }
    }

    /// The same with another time without renewal: a second at least, an hour at most. It is how long others wait where this
    /// process dies.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// The same with a wait in line: an hour at most.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same under an id that a repeat, in another attempt or process, can give again: it gets the lock, or the place in
    /// line, that it has already.
    #[must_use]
    pub fn with_id(self, request_id: impl Into<String>) -> Self {
        Self { request_id: request_id.into(), ..self }
    }

    fn wire(&self, wait: Duration) -> pb::AcquireLockRequest {
        pb::AcquireLockRequest {
            namespace: self.namespace.clone(),
            partition: self.partition.clone(),
            name: self.name.clone(),
            ttl: Some(time::duration(self.ttl)),
            wait: Some(time::duration(wait)),
            request_id: self.request_id.clone(),
        }
    }
}

/// A lock that is held: renewed by a task of its own, and given back when it is dropped.
///
/// Nobody is stopped by losing it: [`Lock::lost`] says when, and what is written with [`Lock::guard`] is refused from then
/// on. What is written without it is not.
#[derive(Debug)]
pub struct Lock {
    guard: Guard,
    standing: watch::Receiver<Standing>,
    /// Dropped, it tells the keeper to give the lock back.
    end: Option<oneshot::Sender<()>>,
    keeper: Option<JoinHandle<Result<(), Error>>>,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Its name.
    pub name: String,
    /// Rises with each holder.
    pub fence: u64,
    /// The invocation that holds it, or the principal outside of one.
    pub holder: String,
    /// How long it is held without renewal.
    pub ttl: Duration,
    /// When it was taken.
    pub acquired: Option<SystemTime>,
    /// How many wait in line behind it.
    pub waiting: u32,
}

/// Some of a partition's locks, by name.
#[derive(Debug, Clone)]
pub struct LockPage {
    /// Those that are held.
    pub locks: Vec<LockInfo>,
    /// Where the next page starts; empty at the end.
    pub next: String,
}

impl State {
    /// Takes a lock, waiting in line for it as long as the request says. Over broken connections the place in line is kept.
    ///
    /// # Errors
    /// [`Error::Precondition`] (`LOCK_HELD`) where the wait ends first, [`Error::LeaseGone`] where a newer lease works, and
    /// those of every call.
    pub async fn lock(&self, request: LockRequest) -> Result<Lock, Error> {
        let until = later(Instant::now(), request.wait);
        let Limits { attempt, whole, patience } = self.limits();
        let longer = |limit: Duration| limit.saturating_add(request.wait);
        let limits = Limits { attempt: longer(attempt), whole: longer(whole), patience };
        let mut sent = Instant::now();
        let answer = self
            .caller
            .call(limits, || {
                sent = Instant::now();
                let request = request.wire(until.saturating_duration_since(sent));
                let mut client = self.client.clone();
                async move { client.acquire_lock(request).await }
            })
            .await?;
        let guard = Guard { name: request.name.clone(), fence: answer.lock.unwrap_or_default().fence };
        let ttl = request.ttl;
        let (standing, watched) = watch::channel(Standing::Until(sent + ttl));
        let keeper = Keeper::new(self.clone(), request, guard.fence, standing);
        if sent.elapsed() >= ttl / 3 {
            // The line was long, and the time runs from when the lock was given: only a renewal says how much is left.
            sent = Instant::now();
            keeper.renew(ttl).await?;
        }
        let (end, ended) = oneshot::channel();
        let kept = keeper.keep(sent, ended);
        // What the keeper asks for belongs to the trace that the lock was taken in, and not below a span that ends before it.
        let keeper = match trace::outgoing() {
            Some(above) => tokio::spawn(trace::firm_scope(above, kept)),
            None => tokio::spawn(kept),
        };
        Ok(Lock { guard, standing: watched, end: Some(end), keeper: Some(keeper) })
    }

    /// The locks of a partition that are held, by name. A size of 0 takes the service's default of 100; an empty token starts
    /// at the first, [`LockPage::next`] goes on.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn locks(
        &self,
        namespace: &str,
        partition: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<LockPage, Error> {
        let request = pb::ListLocksRequest {
            namespace: namespace.into(),
            partition: partition.into(),
            page_size,
            page_token: page_token.into(),
        };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.list_locks(request).await }
            })
            .await?;
        Ok(LockPage { locks: answer.locks.into_iter().map(Into::into).collect(), next: answer.next_page_token })
    }
}

impl Lock {
    /// What goes with the writes that it guards.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Its fence: higher than every earlier holder's.
    pub fn fence(&self) -> u64 {
        self.guard.fence
    }

    /// Whether it is held for certain, by this process's monotonic clock.
    pub fn is_held(&self) -> bool {
        self.standing.borrow().is_held(Instant::now())
    }

    /// Returns once it is lost: another may have it.
    pub async fn lost(&self) {
        let mut standing = self.standing.clone();
        // A keeper that is gone renews no more.
        let _ = standing.wait_for(Standing::is_lost).await;
    }

    /// Gives it back, and returns once the next in line has it. One that was lost is given back already.
    ///
    /// # Errors
    /// Those of every call; its time ends by itself then.
    pub async fn release(mut self) -> Result<(), Error> {
        self.end = None;
        match self.keeper.take() {
            // A keeper that ended otherwise took the runtime along.
            Some(keeper) => keeper.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

impl From<pb::Lock> for LockInfo {
    fn from(lock: pb::Lock) -> Self {
        Self {
            name: lock.name,
            fence: lock.fence,
            holder: lock.holder,
            ttl: lock.ttl.as_ref().and_then(time::span).unwrap_or_default(),
            acquired: lock.acquire_time.and_then(record::time),
            waiting: lock.waiting,
        }
    }
}
