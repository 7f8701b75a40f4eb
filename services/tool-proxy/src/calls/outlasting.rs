//! Calls that go on without their callers, so what they come to is recorded. What they hold in memory is bounded: nobody
//! waits for them any more, so no caller's own limit counts them.

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// What the arguments of all of them may take, in KiB.
const HELD_KIB_MAX: usize = 256 << 10;
/// What a call takes besides its arguments, in KiB.
const CALL_KIB: usize = 8;
/// When to come back where there is no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The calls under way that outlast their callers.
#[derive(Debug)]
pub(super) struct Outlasting {
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

/// Room for one of them, free again when it is dropped.
pub(super) type Room = OwnedSemaphorePermit;

impl Outlasting {
    pub(super) fn new() -> Self {
        Self::with_room(HELD_KIB_MAX)
    }

    fn with_room(kib: usize) -> Self {
        Self { tasks: TaskTracker::new(), room: Arc::new(Semaphore::new(kib)) }
    }

    /// Room for a call with so many bytes of arguments.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: nothing was sent.
    pub(super) fn room(&self, bytes: usize) -> Result<Room, Error> {
        let kib = u32::try_from(CALL_KIB + bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let full = |_| Error::exhausted("too many effectful calls are under way, or wait to be recorded", RETRY_AFTER);
        Arc::clone(&self.room).try_acquire_many_owned(kib).map_err(full)
    }

    /// Starts one; its room is free again when it has ended.
    pub(super) fn start<T: Send + 'static>(
        &self,
        room: Room,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(async move {
            let _room = room;
            work.await
        })
    }

    /// Waits for all of them. Each ends by its own time limits.
    pub(super) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn there_is_only_so_much_room_and_it_is_free_again_when_a_call_has_ended() {
        let calls = Outlasting::with_room(2 * CALL_KIB + 3);
        let (end, ended) = oneshot::channel::<()>();
        let first = calls.start(calls.room(2048).expect("there is room"), ended);
        let second = calls.room(1).expect("and room for another");
        for bytes in [0, 1 << 20, usize::MAX / 2] {
            let refused = calls.room(bytes).expect_err("there is none for a third");
            assert_eq!((refused.code(), refused.retry_after()), (Code::ResourceExhausted, Some(RETRY_AFTER)));
            assert!(!refused.may_have_happened());
        }
        drop(second);
        let _ = calls.room(0).expect("a call that was not started gives its room back");
        assert!(calls.room(2048).is_err());
        end.send(()).expect("it runs");
        first.await.expect("no panic").expect("it was told");
        let _ = calls.room(2048).expect("and so does one that has ended");
        calls.drain().await;
    }
}
