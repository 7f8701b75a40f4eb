//! Telling of what memory does not know enough of: the store is asked first, beside all other work. What that costs is
//! bounded: so many reads at once, and so many that wait for one. Nobody waits for it, and what finds no room is not told,
//! but counted.

use std::sync::Arc;

use holdfast_telemetry::apart;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::Over;
use crate::domain::record::Record;
use crate::metrics;
use crate::queue::Shared;

/// Reads for the sake of a trace, at once.
const READS_MAX: usize = 8;
/// Attempts that wait to be told.
const WAITING_MAX: usize = 1_024;
/// Attempts that wait to be told once more.
const AGAIN_MAX: usize = 1_024;

/// The room for it.
#[derive(Debug)]
pub(in crate::queue) struct Reading {
    reads: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    again: Arc<Semaphore>,
}

impl Reading {
    pub(in crate::queue) fn new() -> Self {
        let [reads, waiting, again] = [READS_MAX, WAITING_MAX, AGAIN_MAX].map(|room| Arc::new(Semaphore::new(room)));
        Self { reads, waiting, again }
    }
}

fn room(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).try_acquire_owned().ok()
}

impl Shared {
    /// Tells the last attempt of an invocation whose end was asked for again: whoever had committed it may have been killed
    /// before it told. The same span twice is one span.
    pub(in crate::queue) fn tell_again(&self, id: Uuid) {
        if apart::is_wanted() {
            self.read_and_tell_again(id);
        }
    }

    fn read_and_tell_again(&self, id: Uuid) {
        // Whoever keeps on asking must not pile up reads, nor take the room of what is told the first time. What finds none
        // was most likely told then, so it does not count as untold.
        if let Some(room) = room(&self.reading.again) {
            self.read(id, None, room, Over::last_of);
        }
    }

    /// Tells what is over once it is known of what.
    pub(super) fn read_and_tell(&self, over: Over) {
        let place = room(&self.reading.reads);
        // Attempts are as many as there were leases. Of waits there may be very many at once, and the first will do.
        let may_wait = over.lease.is_some();
        let room = if place.is_none() && may_wait { room(&self.reading.waiting) } else { None };
        if place.is_none() && room.is_none() {
            return metrics::untold();
        }
        self.read(over.id, place, room, move |_| Some(over));
    }

    /// Reads an invocation once there is a place, and tells of it. Its room is held meanwhile.
    fn read(
        &self,
        id: Uuid,
        place: Option<OwnedSemaphorePermit>,
        room: impl Send + 'static,
        over: impl FnOnce(&Record) -> Option<Over> + Send + 'static,
    ) {
        let (store, reads) = (Arc::clone(&self.store), Arc::clone(&self.reading.reads));
        tokio::spawn(async move {
            let _held = match place {
                Some(place) => (Some(place), room),
                None => (reads.acquire_owned().await.ok(), room),
            };
            // The store is bounded by its own patience.
            let Ok(Some(record)) = store.get(id, None, false).await else { return metrics::untold() };
            if let Some(over) = over(&record) {
                let accepted = &record.accepted;
                over.tell(&accepted.agent, (&accepted.traceparent, accepted.session.as_deref()), accepted.at);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::domain::invocation::{Lease, Usage};
    use crate::queue::Queue;

    /// More than there is room for.
    const MANY: usize = 10_000;

    fn over(lease: Option<Lease>) -> Over {
        Over {
            id: Uuid::nil(),
            lease,
            attempt: 1,
            outcome: "lost",
            error: None,
            usage: Usage::default(),
            waited_since: None,
            at: 0,
        }
    }

    fn untold() -> usize {
        let page = holdfast_telemetry::metrics::render();
        let line = page.lines().find(|line| line.starts_with("holdfast_queue_untold_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("it is counted from the beginning")
    }

    /// Nothing runs beside the test until it waits, so that no place becomes free.
    #[tokio::test]
    async fn what_is_told_takes_bounded_room_and_what_finds_none_is_counted() {
        let _telemetry = holdfast_telemetry::init("queue", &Default::default(), None).unwrap();
        metrics::describe();
        let directory = tempfile::tempdir().unwrap();
        let key = holdfast_rpc::lease::LeaseKey::new(b"k");
        let queue = Queue::open(directory.path(), Config::default(), key).await.unwrap();
        let (shared, reading) = (&queue.shared, &queue.shared.reading);
        let lease = Lease { id: Uuid::nil(), fence: 1, worker: "w".into(), stream: None, at: 0, event: 0 };

        for _ in 0..MANY {
            shared.read_and_tell(over(Some(lease.clone())));
        }
        assert_eq!((reading.reads.available_permits(), reading.waiting.available_permits()), (0, 0));
        assert_eq!(untold(), MANY - READS_MAX - WAITING_MAX);
        shared.read_and_tell(over(None));
        assert_eq!(untold(), MANY - READS_MAX - WAITING_MAX + 1, "a wait that was in vain does not wait once more");
        for _ in 0..MANY {
            shared.read_and_tell_again(Uuid::nil());
        }
        assert_eq!(reading.again.available_permits(), 0, "who asks again has room of their own");

        let free = || {
            let Reading { reads, waiting, again } = reading;
            [reads, waiting, again].map(|room| room.available_permits()) == [READS_MAX, WAITING_MAX, AGAIN_MAX]
        };
        while !free() {
            tokio::task::yield_now().await;
        }
        // The store knows none of them.
        assert_eq!(untold(), MANY + 1 + AGAIN_MAX);
    }
}
