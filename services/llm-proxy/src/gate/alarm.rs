//! Wakes at a moment, to some microseconds: the runtime's own timer goes by whole milliseconds, rounded up twice.

use tokio::time::Instant;

#[cfg(target_os = "linux")]
use self::fine::Timer;

/// One moment at a time.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<Timer>,
}

impl Alarm {
    #[cfg(not(test))]
    pub(super) fn new() -> Self {
        Self::fine()
    }

    /// By the runtime's timer: it follows a clock that a test has stopped.
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: None,
        }
    }

    /// By the system's timer, where there is one to be had.
    fn fine() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: Timer::new().inspect_err(|error| tracing::warn!(%error, "calls start up to 2 ms late")).ok(),
        }
    }

    /// Returns at this moment, or at once where it is over.
    pub(super) async fn wait_until(&self, at: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer {
            match timer.wait_until(at).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the system's timer does not work"),
            }
        }
        tokio::time::sleep_until(at).await;
    }
}

#[cfg(target_os = "linux")]
mod fine {
    use std::{io, os::fd::OwnedFd};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::{
        io::{Interest, unix::AsyncFd},
        time::Instant,
    };

    /// A timer that the runtime waits for as for a socket.
    #[derive(Debug)]
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            #[expect(
                deprecated,
                reason = "what replaces it is unsafe, for files that are not owned by what is registered"
            )]
            AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
        }

        pub(super) async fn wait_until(&self, at: Instant) -> io::Result<()> {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Setting it forgets that it rang for an earlier moment, which nobody waited for to the end.
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut rings = [0; 8];
            self.0.async_io(Interest::READABLE, |timer| Ok(rustix::io::read(timer, &mut rings)?)).await.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_moment_and_not_before() {
        let alarm = Alarm::fine();
        for micros in [1, 300, 2_500] {
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.wait_until(at).await;
            assert!(Instant::now() >= at, "{micros}");
        }
    }

    #[tokio::test]
    async fn who_no_longer_waits_leaves_no_ring_behind() {
        let alarm = Alarm::fine();
        // On a machine with much to do, the moment may be over before it is waited for.
        let soon = loop {
            let soon = Instant::now() + Duration::from_millis(2);
            if timeout(Duration::ZERO, alarm.wait_until(soon)).await.is_err() {
                break soon;
            }
        };
        while Instant::now() < soon {
            tokio::task::yield_now().await;
        }
        let later = Instant::now() + Duration::from_millis(5);
        alarm.wait_until(later).await;
        assert!(Instant::now() >= later, "the ring of the moment before");
    }

    #[tokio::test]
    async fn what_is_over_is_not_waited_for() {
        let alarm = Alarm::fine();
        timeout(Duration::from_secs(5), alarm.wait_until(Instant::now())).await.expect("at once");
    }
}
