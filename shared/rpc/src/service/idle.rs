//! What a service's thread does when there is nothing to do: it looks for a while, then sleeps.
//!
//! Where one call follows closely on the other, a thread that sleeps in between spends more time on being woken than on the
//! calls. Looking is a turn of the runtime that asks the system without waiting, after anybody else who wants the processor. It
//! ends when bytes have moved over the service's sockets. For how long a thread looks is [`BusyPoll`]'s to say. A thread that had
//! much to do does not look: others have then too, and the next thing is late anyway.

use std::{
    cell::Cell,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_resilience::BusyPoll;
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use crate::io::gather;

/// Who has worked for longer in one go did not serve a lone call.
const BRISK: Duration = Duration::from_micros(100);

thread_local! {
    /// How often bytes have come or gone over this thread's sockets.
    static STIRS: Cell<u64> = const { Cell::new(0) };
}

/// Bytes have moved.
pub(crate) fn stir() {
    STIRS.set(STIRS.get().wrapping_add(1));
}

/// The runtime of one thread, which looks for so long at most before it sleeps.
pub(super) fn runtime(busy_poll: Duration) -> io::Result<Runtime> {
    runtime_of(busy_poll, BRISK)
}

fn runtime_of(busy_poll: Duration, brisk: Duration) -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    if busy_poll.is_zero() {
        let runtime = builder.build()?;
        runtime.spawn(gather());
        return Ok(runtime);
    }
    let idle = Arc::new(Mutex::new(Idle::new(busy_poll, brisk, Instant::now())));
    let look = Arc::new(Notify::new());
    builder.on_thread_park({
        let (idle, look) = (Arc::clone(&idle), Arc::clone(&look));
        move || {
            if idle.lock().looks_on(Instant::now(), STIRS.get()) {
                // A task that is ready keeps the thread from going to sleep.
                look.notify_one();
            }
        }
    });
    builder.on_thread_unpark(move || idle.lock().goes_on(Instant::now()));
    let runtime = builder.build()?;
    runtime.spawn(gather());
    runtime.spawn(async move {
        loop {
            look.notified().await;
            std::thread::yield_now();
            // Comes back when the runtime has asked the system once.
            tokio::task::yield_now().await;
        }
    });
    Ok(runtime)
}

/// A thread between two pieces of work.
#[derive(Debug)]
struct Idle {
    poll: BusyPoll,
    brisk: Duration,
    /// How often bytes had moved when it looked last.
    stirs: u64,
    /// Since when there is nothing to do.
    since: Instant,
    /// When it looked last, or woke: what is done since then began there.
    looked: Instant,
    asleep: bool,
    /// Whether the last piece of work was a short one.
    brief: bool,
}

impl Idle {
    const fn new(busy_poll: Duration, brisk: Duration, now: Instant) -> Self {
        Self { poll: BusyPoll::new(busy_poll), brisk, stirs: 0, since: now, looked: now, asleep: false, brief: false }
    }

    /// There is nothing to do, and bytes have moved so often by now. Whether to look once more; else it sleeps.
    fn looks_on(&mut self, now: Instant, stirs: u64) -> bool {
        let worked = stirs != self.stirs;
        if worked && !self.asleep {
            self.poll.waited(self.looked.saturating_duration_since(self.since));
        }
        if worked || self.asleep {
            self.brief = worked && now.saturating_duration_since(self.looked) <= self.brisk;
            self.since = now;
        }
        (self.stirs, self.looked) = (stirs, now);
        let looks = self.brief && now.saturating_duration_since(self.since) < self.poll.window();
        self.asleep = !looks;
        looks
    }

    /// The runtime goes on; its sleep is over if it slept.
    fn goes_on(&mut self, now: Instant) {
        if self.asleep {
            self.poll.waited(now.saturating_duration_since(self.since));
            self.looked = now;
        }
    }
}

#[cfg(test)]
mod tests;
