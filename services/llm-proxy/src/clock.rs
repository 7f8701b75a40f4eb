//! The time since this machine started: it goes on while a process is gone, and no wall clock moves it.

use std::{fs, time::Duration};

use tokio::time::Instant;

/// The system tells its uptime in hundredths of a second, cut off: a time that another process wrote down may lie this
/// much later by this one's clock.
pub(crate) const STEP: Duration = Duration::from_millis(10);

/// The clock by which limits are kept.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// Which start of the machine this is; `None` where the system does not say.
    boot: Option<String>,
    base: Duration,
    origin: Instant,
}

impl Clock {
    /// Reads the machine's uptime. Where there is none to be had, time starts now, in a boot that nobody can name: what an
    /// earlier process did is then taken as just done.
    pub(crate) fn start() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned());
        let uptime = fs::read_to_string("/proc/uptime").ok().and_then(|text| {
            let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok()
        });
        let (boot, base) = boot.zip(uptime).map_or((None, Duration::ZERO), |(boot, base)| (Some(boot), base));
        Self { boot, base, origin: Instant::now() }
    }

    pub(crate) fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    pub(crate) fn now(&self) -> Duration {
        self.base + self.origin.elapsed()
    }

    /// The runtime's time that is this time.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        // Far enough away to mean never, near enough to be a valid instant.
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
        self.origin + at.saturating_sub(self.base).min(FAR)
    }

    /// This time, for an instant of the runtime.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        self.base + instant.saturating_duration_since(self.origin)
    }
}
