use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Moments at which calls begin, counted from the first: a Poisson process, as of many callers who know nothing of each
/// other. It ends after a time.
#[derive(Debug)]
pub struct Arrivals {
    per_second: f64,
    next: Duration,
    last: Duration,
}

impl Arrivals {
    /// So many a second on average, for so long.
    pub const fn new(per_second: f64, length: Duration) -> Self {
        Self { per_second, next: Duration::ZERO, last: length }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let chance: f64 = rand::rng().random();
        self.next += Duration::from_secs_f64(-(1.0 - chance).ln() / self.per_second);
        Some(self.next).filter(|next| *next <= self.last)
    }
}

/// What became of the calls that were offered.
#[derive(Debug)]
pub struct Offered<T> {
    /// The answers, in the order in which they came.
    pub answers: Vec<T>,
    /// How much later than planned each call began: what the load itself is behind.
    pub late: Vec<Duration>,
}

/// Begins each call at its moment, whatever became of those before, and waits for all of them in the end.
///
/// # Panics
/// Where a call does.
pub async fn offer<F>(arrivals: impl IntoIterator<Item = Duration>, mut call: impl FnMut() -> F) -> Offered<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut offered = Offered { answers: Vec::new(), late: Vec::new() };
    for due in arrivals.into_iter().map(|after| begun + after) {
        if Instant::now() < due {
            sleep_until(due.into()).await;
        }
        offered.late.push(due.elapsed());
        calls.spawn(call());
        while let Some(ended) = calls.try_join_next() {
            offered.answers.push(ended.expect("a call does not panic"));
        }
    }
    offered.answers.extend(calls.join_all().await);
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_offered_as_it_was_asked() {
        let count = Arrivals::new(1_000.0, Duration::from_secs(100)).count() as f64;
        assert!((99_000.0..101_000.0).contains(&count), "{count}");
    }

    #[tokio::test]
    async fn no_call_waits_for_another() {
        let all = std::sync::Arc::new(tokio::sync::Barrier::new(3));
        let offered = offer([Duration::ZERO; 3], || {
            let all = std::sync::Arc::clone(&all);
            async move { all.wait().await.is_leader() }
        });
        assert_eq!(offered.await.answers.into_iter().filter(|leads| *leads).count(), 1);
    }
}
