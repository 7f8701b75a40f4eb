//! Many calls over one stream: submissions, and waits for ends.

use std::sync::Arc;

use foldhash::HashMap;
use holdfast_rpc::Error;
use parking_lot::Mutex;
use uuid::Uuid;

use super::grant::ITEM_BYTES;
use super::outbox::Outbox;
use super::refusal;
use super::tag::Enqueued;
use crate::domain::invocation::Accepted;
use crate::domain::record::{Ended, PastEnd, Record, Standing, Try};

/// How long a reader that was too slow shall stay away.
const SLOW_READER: std::time::Duration = std::time::Duration::from_secs(1);

/// How long more may be unread than may be: nothing more is asked meanwhile, but what was asked may all end at once.
const SLOW_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// How long the news that a call is accepted may wait, where the caller asked for the end: mostly they go together.
const UNHURRIED: std::time::Duration = std::time::Duration::from_millis(5);

/// An answer to one call of a stream.
#[derive(Debug)]
pub(crate) struct CallAnswer {
    pub(crate) call_id: u64,
    pub(crate) what: CallWhat,
}

/// What there is to say.
#[derive(Debug)]
pub(crate) enum CallWhat {
    Accepted(Enqueued),
    Ended(Box<Record>),
    Refused(Error),
}

/// One stream of many calls.
#[derive(Debug)]
pub(crate) struct CallStream {
    pub(crate) outbox: Outbox<CallAnswer>,
    /// Open calls; with an invocation where its end is awaited.
    open: Mutex<HashMap<u64, Option<Uuid>>>,
    calls_max: usize,
}

impl CallStream {
    pub(crate) fn new(unread_bytes_max: usize, calls_max: usize) -> Self {
        Self { outbox: Outbox::new(unread_bytes_max), open: Mutex::default(), calls_max }
    }

    /// Opens a call.
    pub(crate) fn open(&self, call_id: u64) -> Result<(), Error> {
        let mut open = self.open.lock();
        if open.len() >= self.calls_max {
            return Err(Error::exhausted("too many calls are open on this stream", SLOW_READER));
        }
        if open.contains_key(&call_id) {
            return Err(Error::invalid("calls.call_id", "is that of a call which is still open"));
        }
        open.insert(call_id, None);
        // A client that asks no more still gets its answers.
        self.outbox.owe();
        Ok(())
    }

    /// Says the last word on a call; nothing when the client waits no longer.
    pub(crate) fn answer(&self, call_id: u64, what: CallWhat) {
        if self.open.lock().remove(&call_id).is_some() {
            self.say(call_id, what);
            self.outbox.waive();
        }
    }

    /// Says something on a call that is refused, open or not.
    pub(crate) fn say(&self, call_id: u64, what: CallWhat) {
        if self.outbox.is_stuck(SLOW_MAX) {
            self.outbox.fail(Error::exhausted("the stream's reader is too slow", SLOW_READER));
        }
        let bytes = ITEM_BYTES
            + match &what {
                CallWhat::Ended(record) => record.bytes(),
                CallWhat::Accepted(_) | CallWhat::Refused(_) => 0,
            };
        self.outbox.push(CallAnswer { call_id, what }, bytes);
    }

    /// Says that a call which awaits the end is accepted: with the next thing said, and soon without one. A reader that is
    /// woken for it would be in the way of the work.
    pub(crate) fn say_accepted(self: &Arc<Self>, call_id: u64, enqueued: Enqueued) {
        if self.outbox.is_full() {
            self.say(call_id, CallWhat::Accepted(enqueued));
            return;
        }
        let what = CallWhat::Accepted(enqueued);
        if self.outbox.push_unhurried(CallAnswer { call_id, what }, ITEM_BYTES) {
            let stream = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(UNHURRIED).await;
                if let Some(stream) = stream.upgrade() {
                    stream.outbox.remind();
                }
            });
        }
    }

    /// The call awaits an invocation's end; false when the client waits no longer.
    fn awaits(&self, call_id: u64, id: Uuid) -> bool {
        self.open.lock().get_mut(&call_id).map(|slot| *slot = Some(id)).is_some()
    }

    /// The client waits no longer. The invocation that it waited for.
    pub(crate) fn forget(&self, call_id: u64) -> Option<Uuid> {
        let forgotten = self.open.lock().remove(&call_id)?;
        self.outbox.waive();
        forgotten
    }

    /// Answers every wait: the queue drains.
    pub(crate) fn give_up(&self) {
        let waiting: Vec<u64> =
            self.open.lock().iter().filter(|(_, slot)| slot.is_some()).map(|(call_id, _)| *call_id).collect();
        for call_id in waiting {
            self.answer(call_id, CallWhat::Refused(refusal::draining()));
        }
    }

    /// The client has gone. The invocations that it waited for.
    fn close(&self) -> Vec<Uuid> {
        self.outbox.abandon();
        self.open.lock().drain().filter_map(|(_, id)| id).collect()
    }
}

/// Who waits for which invocation's end.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waits: HashMap<Uuid, Vec<Wait>>,
}

#[derive(Debug)]
struct Wait {
    stream: Arc<CallStream>,
    call_id: u64,
    accepted: Arc<Accepted>,
}

impl Waits {
    pub(crate) fn add(&mut self, stream: &Arc<CallStream>, call_id: u64, accepted: Arc<Accepted>) {
        let id = accepted.id;
        if stream.awaits(call_id, id) {
            let wait = Wait { stream: Arc::clone(stream), call_id, accepted };
            self.waits.entry(id).or_default().push(wait);
        }
    }

    /// An invocation has ended: everybody who waits is told.
    pub(crate) fn ended(&mut self, id: Uuid, ended: &Ended, tries: &[Try], past_ends: &[PastEnd]) {
        for Wait { stream, call_id, accepted } in self.waits.remove(&id).unwrap_or_default() {
            let record = Record {
                accepted,
                payload: None,
                standing: Standing::Ended(ended.clone()),
                tries: tries.to_vec(),
                past_ends: past_ends.to_vec(),
            };
            stream.answer(call_id, CallWhat::Ended(Box::new(record)));
        }
    }

    /// The invocations whose ends somebody waits for.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.waits.keys().copied()
    }

    /// Whether somebody waits for an invocation's end.
    pub(crate) fn has(&self, id: Uuid) -> bool {
        self.waits.contains_key(&id)
    }

    pub(crate) fn forget(&mut self, stream: &Arc<CallStream>, call_id: u64) {
        if let Some(id) = stream.forget(call_id) {
            self.remove(id, |wait| Arc::ptr_eq(&wait.stream, stream) && wait.call_id == call_id);
        }
    }

    pub(crate) fn close(&mut self, stream: &Arc<CallStream>) {
        for id in stream.close() {
            self.remove(id, |wait| Arc::ptr_eq(&wait.stream, stream));
        }
    }

    fn remove(&mut self, id: Uuid, which: impl Fn(&Wait) -> bool) {
        if let Some(waits) = self.waits.get_mut(&id) {
            waits.retain(|wait| !which(wait));
            if waits.is_empty() {
                self.waits.remove(&id);
            }
        }
    }
}
