//! Watches: past events from the store, and a bell for the coming ones. Events are read, never carried past the store,
//! so a watcher misses none however slow it is, and costs no memory beyond its own window. What is not kept any more is
//! said to be missing.

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_rpc::service::Stop;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::{Queue, Shared, refusal};
use crate::domain::event::{Event, Seen};
use crate::store::Window;

/// What is read at once.
const WINDOW: Window = Window { events: 128, bytes: 64 << 10 };
/// Events that one watcher may leave unread, beside those that were read at once.
const UNREAD_MAX: usize = 2;
/// How long a watcher has to take the news that the queue drains.
const LAST_WORD: Duration = Duration::from_secs(1);
/// When to come back to a queue that has too many watchers.
const CROWDED: Duration = Duration::from_secs(1);

/// The events of one watch.
pub(crate) type Events = mpsc::Receiver<Result<Event, Error>>;

impl Queue {
    /// The events of an invocation from an offset on, past and coming, up to its end.
    ///
    /// # Errors
    /// NOT_FOUND, also for another tenant's; RESOURCE_EXHAUSTED with too many watchers.
    pub(crate) async fn watch(&self, tenant: Option<String>, id: Uuid, from: u64, stop: Stop) -> Result<Events, Error> {
        // Before the first read: what comes after it rings.
        let bell = Bell::hang(&self.shared, id)?;
        let found = self.shared.store.get(id, tenant, false).await;
        found.map_err(|failure| refusal::store(&failure))?.ok_or_else(|| refusal::unknown(id))?;
        let (events, watched) = mpsc::channel(UNREAD_MAX);
        tokio::spawn(async move {
            tokio::select! {
                () = events.closed() => {}
                () = stop.cancelled() => {
                    let _ = events.send_timeout(Err(refusal::draining()), LAST_WORD).await;
                }
                outcome = follow(bell, id, from, &events) => {
                    if let Err(error) = outcome {
                        let _ = events.send(Err(error)).await;
                    }
                }
            }
        });
        Ok(watched)
    }
}

async fn follow(mut bell: Bell, id: Uuid, from: u64, events: &mpsc::Sender<Result<Event, Error>>) -> Result<(), Error> {
    let mut seen = Seen::from(from);
    loop {
        let history = bell.shared.store.history(id, None, seen.next(), WINDOW).await;
        let history = history.map_err(|failure| refusal::store(&failure))?.ok_or_else(|| refusal::unknown(id))?;
        for event in history.events {
            let dropped = seen.see(&event);
            for event in dropped.into_iter().chain([event]) {
                if events.send(Ok(event)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if history.ended {
            return Ok(());
        }
        if !history.more {
            bell.rung().await;
        }
    }
}

/// Rings when an invocation has a new event.
struct Bell {
    shared: Arc<Shared>,
    id: Uuid,
    bell: watch::Receiver<()>,
}

impl Bell {
    fn hang(shared: &Arc<Shared>, id: Uuid) -> Result<Self, Error> {
        let mut core = shared.core.lock();
        if core.watches >= shared.config.watches_max {
            return Err(Error::exhausted("too many watches are open", CROWDED));
        }
        core.watches += 1;
        let bell = core.watched.entry(id).or_insert_with(|| watch::channel(()).0).subscribe();
        drop(core);
        Ok(Self { shared: Arc::clone(shared), id, bell })
    }

    async fn rung(&mut self) {
        // The sender stays as long as there is a receiver.
        let _ = self.bell.changed().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut core = self.shared.core.lock();
        core.watches -= 1;
        if core.watched.get(&self.id).is_some_and(|bell| bell.receiver_count() <= 1) {
            core.watched.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::lease::LeaseKey;

    use super::super::outage::{ask, submission};
    use super::super::{Queue, Telling};
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_watcher_that_does_not_read_keeps_little_and_hears_the_last_word() {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::open(directory.path(), Config::default(), LeaseKey::new(b"k")).await.unwrap();
        let id = queue.enqueue(submission()).await.unwrap().id;
        let token = queue.lease(ask()).await.unwrap().remove(0).token;
        for _ in 0..8 {
            queue.tell(None, &token, Telling::Chunk(vec![0; 64 << 10].into())).await.unwrap();
        }
        let stop = Stop::new();
        let mut events = queue.watch(None, id, 0, stop.clone()).await.unwrap();
        while events.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(events.len() * (64 << 10) <= 128 << 10, "{} events wait", events.len());
        stop.cancel();
        let mut heard = Vec::new();
        while let Some(event) = events.recv().await {
            heard.push(event.is_ok());
        }
        assert_eq!(heard.last(), Some(&false), "a full window does not swallow the news that the queue drains");
    }
}
