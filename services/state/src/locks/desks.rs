//! The desks of a process: one for each lock that somebody here waits for.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use holdfast_rpc::service::Stop;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    Acquire, Lock,
    desk::Desk,
    records::{Claimant, Places},
    seen::Seen,
};
use crate::{decider::Decider, domain::Address, failed::Failed, write::Holder};

/// What a caller is told.
pub(super) struct Told {
    pub(super) lock: Lock,
    /// Whether this call has brought it the lock; a repeat may show one that was told before.
    pub(super) given: bool,
}

/// One call that asks for a lock.
pub(super) struct Call {
    pub(super) claimant: Claimant,
    pub(super) lease: Option<Holder>,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Told, Failed>>,
}

/// What came to a desk since it last looked.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) calls: Vec<Call>,
    /// Requests whose callers went away with the answer on its way.
    pub(super) abandoned: Vec<Uuid>,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.abandoned.is_empty()
    }
}

/// Where calls reach a desk.
#[derive(Default)]
pub(super) struct Counter {
    inbox: Mutex<Inbox>,
    pub(super) nudge: Notify,
}

impl Counter {
    pub(super) fn take(&self) -> Inbox {
        std::mem::take(&mut self.inbox.lock())
    }

    fn put(&self, put: impl FnOnce(&mut Inbox)) {
        put(&mut self.inbox.lock());
        self.nudge.notify_one();
    }
}

/// All desks of a process.
pub(crate) struct Desks {
    /// Itself, for the desks' tasks.
    this: Weak<Self>,
    pub(super) decider: Arc<dyn Decider>,
    /// Under this id it speaks for its callers: another life of the process has another.
    pub(super) id: Uuid,
    pub(super) seen: Seen,
    open: Mutex<HashMap<Address, Arc<Counter>>>,
    stop: Stop,
    tasks: TaskTracker,
}

impl Desks {
    pub(crate) fn new(decider: Arc<dyn Decider>, stop: Stop) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            decider,
            id: Uuid::now_v7(),
            seen: Seen::new(),
            open: Mutex::default(),
            stop,
            tasks: TaskTracker::new(),
        })
    }

    /// Asks for a lock, and waits for the answer. A caller who goes away leaves the line, and gives back what it has not
    /// heard of.
    pub(super) async fn ask(self: &Arc<Self>, acquire: Acquire) -> Result<Lock, Failed> {
        if self.stop.is_cancelled() {
            return Err(Failed::Closed { in_doubt: false });
        }
        let places = Places::of(&acquire.partition, &acquire.name);
        let request = acquire.request_id;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            claimant: Claimant {
                request,
                holder: acquire.holder.as_ref().to_owned(),
                ttl_ms: acquire.ttl.as_millis() as u64,
                wait_ms: acquire.wait.as_millis() as u64,
                desk: self.id,
            },
            lease: acquire.lease,
            deadline: Instant::now() + acquire.wait,
            reply,
        };
        let mut waiting = Waiting { desks: self, places, request, answer };
        self.put(&waiting.places, |inbox| inbox.calls.push(call));
        match (&mut waiting.answer).await {
            Ok(told) => told.map(|told| told.lock),
            Err(_) => Err(Failed::Closed { in_doubt: true }),
        }
    }

    /// A lock has changed hands here.
    pub(super) fn nudge(&self, lock: &Address) {
        if let Some(counter) = self.open.lock().get(lock) {
            counter.nudge.notify_one();
        }
    }

    /// Ends a desk at which nobody waits; false where somebody has come meanwhile.
    pub(super) fn leave(&self, lock: &Address, counter: &Counter) -> bool {
        let mut open = self.open.lock();
        let empty = counter.inbox.lock().is_empty();
        if empty {
            open.remove(lock);
        }
        empty
    }

    /// Ends all desks. What they had in the line stays there for their callers' repeats, which go to another process; where
    /// none comes, it lapses.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn put(&self, places: &Places, put: impl FnOnce(&mut Inbox)) {
        let mut open = self.open.lock();
        if let Some(counter) = open.get(&places.lock) {
            return counter.put(put);
        }
        let Some(desks) = self.this.upgrade().filter(|_| !self.stop.is_cancelled()) else { return };
        let counter = Arc::new(Counter::default());
        counter.put(put);
        open.insert(places.lock.clone(), Arc::clone(&counter));
        drop(open);
        let (stop, places) = (self.stop.clone(), places.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(Desk::new(&desks, &counter, places.clone()).run()).await;
            // After a stop, nobody is told anything any more.
            desks.open.lock().remove(&places.lock).map(|counter| counter.take());
        });
    }
}

/// A call under way.
struct Waiting<'d> {
    desks: &'d Desks,
    places: Places,
    request: Uuid,
    answer: oneshot::Receiver<Result<Told, Failed>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answer.close();
        match self.answer.try_recv() {
            Ok(Ok(Told { given: true, .. })) => {
                self.desks.put(&self.places, |inbox| inbox.abandoned.push(self.request));
            }
            _ => self.desks.nudge(&self.places.lock),
        }
    }
}
