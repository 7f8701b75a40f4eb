//! The clock that leases go by: it only goes forward, and it runs while the machine sleeps.

use std::{fmt, time::Duration};

/// Time since some moment.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// How long ago that was.
    fn now(&self) -> Duration;
}

/// The time since the machine was started, its sleep included. Most clocks that only go forward stand still while a machine
/// is suspended, and would let a lease outlive what everybody else has seen of it.
#[derive(Debug, Clone, Copy)]
pub struct SinceBoot;

impl Clock for SinceBoot {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let first = SinceBoot.now();
        assert!(first > Duration::ZERO && SinceBoot.now() >= first);
    }
}
