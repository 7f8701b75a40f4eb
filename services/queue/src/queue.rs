//! The use cases: mint ids, read the clock, ask the store, answer.

mod calls;
mod clock;
mod commit;
mod core;
#[cfg(test)]
mod doubt;
mod enqueue;
mod follow;
#[cfg(test)]
mod freeing;
mod grant;
mod hot;
mod late;
mod lease;
#[cfg(test)]
mod outage;
mod outbox;
mod read;
mod redrive;
pub(crate) mod refusal;
mod retain;
mod seen;
mod settle;
mod sight;
mod spans;
mod tag;
mod together;
mod watch;
mod window;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_rpc::lease::{LeaseKey, LeaseToken};
use holdfast_storage::OpenError;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use self::clock::Clock;
use self::core::Core;
use self::spans::Reading;
use self::tag::{SettleTag, SettleTo, Tag};
use self::together::Together;
use crate::config::Config;
use crate::domain::time::Moment;
use crate::store::guarded::{self, Guard};
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{Batch, Change, Command, Raise, Settle, Store};

pub(crate) use self::calls::{CallAnswer, CallStream, CallWhat};
pub(crate) use self::core::Commands;
pub use self::enqueue::Submission;
pub(crate) use self::grant::MESSAGE_BYTES;
pub(crate) use self::grant::Work;
pub use self::grant::{Grant, Renewal};
pub use self::lease::LeaseAsk;
pub(crate) use self::outbox::{Outbox, Run};
pub use self::read::{AgentDepth, Page};
pub use self::redrive::{NotThis, RedriveAnswer, RedriveAsk, Which};
pub(crate) use self::seen::OTHERS;
pub(crate) use self::settle::{Ending, Telling};
pub use self::tag::{Enqueued, Settled};
pub use self::workers::Hello;
pub(crate) use self::workers::WorkSession;

/// A reaper that is late by more than this part of a lease was paused.
const LATE: u32 = 3;
/// How long the store may take for its last answers.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// The queue. Clones are handles of the same one.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    clock: Clock,
    key: LeaseKey,
    store: Arc<dyn Store<Tag>>,
    core: Mutex<Core>,
    /// When the reaper wakes up by itself.
    armed: Mutex<Option<Moment>>,
    rearm: Notify,
    raised: Notify,
    /// A batch, or a piece of one, has arrived in memory.
    landed: Notify,
    /// Commands that the store has not answered yet.
    asked: AtomicUsize,
    together: Together,
    /// Idempotency keys of what has ended and was accepted before this are free again.
    keys_since: AtomicI64,
    /// Room to ask the store whether what is refused was accepted before.
    lookups: Semaphore,
    /// Room to read what a span needs that is not in memory.
    reading: Reading,
}

impl Queue {
    /// Opens the embedded store in a directory and takes in what is there.
    ///
    /// # Errors
    /// [`OpenError`] names the path and what to do; a store that cannot be read says so.
    pub async fn open(directory: &Path, config: Config, key: LeaseKey) -> Result<Self, StartError> {
        let (batches, committed) = mpsc::unbounded_channel();
        let guard = Guard::new(&guarded::settings(), *config.store_patience);
        let deliver = guard.deliver(move |batch| {
            // One message for each commit. Without the runtime nobody waits any more.
            let _ = batches.send(batch);
        });
        let store = guard.over(Sqlite::open(directory, config.busy_poll, deliver)?);
        Self::start(Arc::new(store), committed, config, key).await
    }

    /// Joins the queues that share a PostgreSQL. What is there is not taken in: it comes into sight as it is wanted.
    ///
    /// # Errors
    /// [`OpenError`] names the server and what to do; a store that cannot be read says so.
    pub async fn join(url: &str, config: Config, key: LeaseKey) -> Result<Self, StartError> {
        let (batches, committed) = mpsc::unbounded_channel();
        let guard = Guard::new(&guarded::settings(), *config.store_patience);
        let deliver = guard.deliver(move |batch| {
            let _ = batches.send(batch);
        });
        let store = guard.over(Postgres::open(url, config.busy_poll, deliver).await?);
        Self::start(Arc::new(store), committed, config, key).await
    }

    async fn start(
        store: Arc<dyn Store<Tag>>,
        committed: mpsc::UnboundedReceiver<Batch<Tag>>,
        config: Config,
        key: LeaseKey,
    ) -> Result<Self, StartError> {
        let clock = Clock::start();
        let waiting = store.waiting().await.map_err(|failure| StartError::Store(refusal::store(&failure)))?;
        let now = clock.now();
        let mut core = Core::new(&config, now);
        let sign = |found: &crate::store::Waiting, lease: &crate::domain::invocation::Lease| {
            key.sign(&LeaseToken {
                tenant: found.tenant.clone(),
                session: found.session.clone().unwrap_or_default(),
                invocation_id: found.id.to_string(),
                attempt: found.attempt,
                lease_id: lease.id.to_string(),
                fence: lease.fence,
                agent: found.agent.clone(),
            })
            .into()
        };
        core.restore(waiting, now.moment.after(*config.lease_ttl), sign, now);
        if let Some(others) = store.shared() {
            let window = Shared::first_window(others).await;
            core.window = Some(window.map_err(|failure| StartError::Store(refusal::store(&failure)))?);
        }
        let shared = Arc::new(Shared {
            config,
            clock,
            key,
            store,
            core: Mutex::new(core),
            armed: Mutex::new(None),
            rearm: Notify::new(),
            raised: Notify::new(),
            landed: Notify::new(),
            asked: AtomicUsize::new(0),
            together: Together::new(),
            keys_since: AtomicI64::new(i64::MIN),
            lookups: Semaphore::new(enqueue::LOOKUPS_MAX),
            reading: Reading::new(),
        });
        if shared.store.shared().is_some() {
            shared.count_first().await;
        }
        tokio::spawn(follow::follow(Arc::downgrade(&shared), committed));
        Ok(Self { shared })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Begins nothing new. Streams watch the stop signal by themselves.
    pub fn drain(&self) {
        self.shared.core.lock().draining = true;
    }

    /// Waits until the store has answered everything, and what nobody took has gone back: nothing is left behind that
    /// would have to be waited for. Not for long: a store that does not answer has whoever comes next to do it.
    pub(crate) async fn settle_down(&self) {
        let shared = &self.shared;
        let settled = async {
            loop {
                let mut landed = std::pin::pin!(shared.landed.notified());
                landed.as_mut().enable();
                if shared.asked.load(Ordering::Relaxed) == 0 {
                    return;
                }
                landed.await;
            }
        };
        if tokio::time::timeout(SETTLE_MAX, settled).await.is_err() {
            tracing::warn!("the queue's store has not answered everything before the end");
        }
    }

    /// Does what is due; says when there is more.
    pub(crate) fn reap(&self) -> Option<Instant> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let mut core = shared.core.lock();
        let mut commands = Commands::new();
        let ttl = *shared.config.lease_ttl;
        if core.leases.next_due().is_some_and(|due| now.moment.since(due) > ttl / LATE) {
            // This process did not run when it should have: renewals wait unread, and nobody was silent.
            core.leases.begin_again(now.moment.after(ttl), now.moment.after(*shared.config.stream_grace));
            tracing::warn!("this queue did not run for a while: every lease has its full time again");
        }
        for id in core.schedule.due(now.moment) {
            let settle = Settle { id, now: now.wall, change: Change::Expire };
            commands.push((
                Tag::Settle(SettleTag { id, whose: None, to: SettleTo::Deadline }),
                Command::Settle(Box::new(settle)),
            ));
        }
        if !core.draining {
            for lease in core.leases.due(now.moment) {
                commands.extend(shared.lose(&core, lease, now.wall));
            }
        }
        core.dispatch(now, &mut commands);
        shared.submit(&mut core, commands, now);
        let next = core.next_due();
        *shared.armed.lock() = next;
        next.map(|moment| shared.clock.instant(moment))
    }

    /// Something comes up earlier than what [`reap`](Self::reap) said.
    pub(crate) async fn rearmed(&self) {
        self.shared.rearm.notified().await;
    }

    /// A fence is to be raised.
    pub(crate) async fn raised(&self) {
        self.shared.raised.notified().await;
    }

    /// Whether other processes see to the outbox too.
    pub(crate) fn has_company(&self) -> bool {
        self.shared.store.shared().is_some()
    }

    /// Fences that state must still be told of, behind this place in the outbox.
    pub(crate) async fn raises(&self, after: i64, limit: usize) -> Result<Vec<Raise>, Error> {
        self.shared.store.raises(after, limit).await.map_err(|failure| refusal::store(&failure))
    }

    /// State has been told.
    pub(crate) async fn forget_raises(&self, raises: Vec<i64>) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.shared.send(vec![(Tag::ForgetRaises(reply), Command::ForgetRaises(raises))]);
        answered(answer).await
    }
}

impl Shared {
    /// Frees a lease that is marked so, if it still belongs to its stream when the store comes to it.
    fn lose(&self, core: &Core, lease: Uuid, now: i64) -> Option<(Tag, Command)> {
        let held = core.leases.get(lease)?;
        let id = held.invocation;
        let change = Change::Lose { lease, stream: held.stream, lost_max: self.config.lost_leases_max };
        let tag = Tag::Settle(SettleTag { id, whose: None, to: SettleTo::Reaper { lease } });
        Some((tag, Command::Settle(Box::new(Settle { id, now, change }))))
    }

    /// Hands commands to the store that promise nothing in memory.
    fn send(self: &Arc<Self>, commands: Commands) {
        self.asked.fetch_add(commands.len(), Ordering::Relaxed);
        if let Err((commands, failure)) = self.store.submit(commands) {
            self.take_in(commands.into_iter().map(|(tag, _)| (tag, Err(failure.clone()))).collect());
        }
    }

    /// Wakes the reaper where something is due before it would wake up.
    fn arm(&self, next: Option<Moment>) {
        let mut armed = self.armed.lock();
        if let Some(next) = next
            && armed.is_none_or(|at| next < at)
        {
            *armed = Some(next);
            self.rearm.notify_one();
        }
    }
}

/// Why the queue cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error("the queue's store cannot be read: {0}")]
    Store(Error),
}

/// An answer that the store owes. It drops it only when the queue ends.
async fn answered<A>(answer: oneshot::Receiver<Result<A, Error>>) -> Result<A, Error> {
    answer.await.unwrap_or_else(|_| Err(refusal::draining().maybe_happened()))
}
