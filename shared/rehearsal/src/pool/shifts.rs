//! One shift of workers after the other: those that are killed say no word to anybody, and others begin where they can.

use std::sync::Arc;

use holdfast_sdk::{Error, Worker};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::books::Books;

/// Whether there are workers.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    there: watch::Sender<bool>,
    books: Arc<Books>,
}

impl Presence {
    /// Of workers who keep these books. They are there.
    pub(super) fn of(books: &Arc<Books>) -> Self {
        Self { there: watch::Sender::new(true), books: Arc::clone(books) }
    }

    /// Who is told of it.
    pub(super) fn told(&self) -> watch::Receiver<bool> {
        self.there.subscribe()
    }

    /// Kills all workers, in the midst of whatever they do.
    pub(crate) fn end(&self) {
        self.books.cut_off(true);
        self.there.send_replace(false);
    }

    /// Lets others begin.
    pub(crate) fn begin(&self) {
        self.books.cut_off(false);
        self.there.send_replace(true);
    }
}

/// Keeps workers at work until they are told to stop, or the mesh will not have them.
pub(super) async fn run(
    hire: impl Fn() -> Worker,
    mut there: watch::Receiver<bool>,
    stop: CancellationToken,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            true = is(&mut there, true) => {}
            () = stop.cancelled() => return Ok(()),
        }
        // Dropped in the middle, its connections break and its work stops where it is.
        tokio::select! {
            ended = hire().run(stop.clone().cancelled_owned()) => return ended,
            true = is(&mut there, false) => {}
        }
    }
}

/// Returns once it is so; false where nobody tells any more.
async fn is(there: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    there.wait_for(|there| *there == wanted).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use holdfast_sdk::{Context, Failure, Json};

    use super::*;

    /// Nobody listens there; a worker looks for its queue for as long as it is let.
    fn worker() -> Worker {
        Worker::new("http://127.0.0.1:1")
            .agent("clerk", |_: Context, input: Json| async move { Ok::<_, Failure>(input) })
    }

    #[tokio::test]
    async fn workers_that_are_killed_are_followed_by_others_until_all_are_told_to_stop() {
        let (presence, stop) = (Presence::of(&Arc::new(Books::new(1))), CancellationToken::new());
        let hired = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&hired);
        let hire = move || {
            counted.fetch_add(1, Relaxed);
            worker()
        };
        let mut shifts = std::pin::pin!(run(hire, presence.told(), stop.clone()));
        assert!(futures::poll!(&mut shifts).is_pending());
        assert_eq!(hired.load(Relaxed), 1);
        presence.end();
        assert!(futures::poll!(&mut shifts).is_pending());
        assert_eq!(hired.load(Relaxed), 1, "nobody works while all are away");
        presence.begin();
        assert!(futures::poll!(&mut shifts).is_pending());
        assert_eq!(hired.load(Relaxed), 2, "others have begun");
        stop.cancel();
        shifts.await.expect("they stop when they are told to");
    }
}
