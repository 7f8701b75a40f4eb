//! Times and spans between Rust and the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

/// Microseconds since 1970: how records keep wall time.
pub type Micros = i64;

/// The wall clock, for records; leases and limits go by monotonic time.
pub fn now_micros() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Micros)
}

/// A record's time on the wire.
pub fn timestamp(micros: Micros) -> Timestamp {
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos: (micros.rem_euclid(1_000_000) * 1_000) as i32 }
}

/// A time from the wire; `None` where it is not one, or outside what microseconds can say.
pub fn micros(timestamp: &Timestamp) -> Option<Micros> {
    (0..1_000_000_000).contains(&timestamp.nanos).then_some(())?;
    timestamp.seconds.checked_mul(1_000_000)?.checked_add(i64::from(timestamp.nanos) / 1_000)
}

/// A span on the wire.
pub fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: span.subsec_nanos() as i32,
    }
}

/// A span from the wire; `None` where it is negative or malformed.
pub fn span(duration: &prost_types::Duration) -> Option<Duration> {
    Duration::try_from(*duration).ok()
}
