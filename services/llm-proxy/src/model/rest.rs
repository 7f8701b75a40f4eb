use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A deployment that says when to come back is left alone until then. The time is only ever put off.
#[derive(Debug, Default)]
pub(crate) struct Rest(Mutex<Option<Instant>>);

impl Rest {
    /// It wants to be left alone for this long.
    pub(crate) fn at_least(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut rests = self.0.lock();
        *rests = Some(rests.map_or(until, |before| before.max(until)));
    }

    /// How long it is still to be left alone.
    pub(crate) fn left(&self) -> Option<Duration> {
        let mut rests = self.0.lock();
        let left = (*rests)?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            *rests = None;
        }
        rests.map(|_| left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_only_ever_put_off() {
        let rest = Rest::default();
        assert_eq!(rest.left(), None);
        rest.at_least(Duration::from_secs(7));
        rest.at_least(Duration::from_secs(2));
        assert_eq!(rest.left(), Some(Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(rest.left(), None);
    }
}
