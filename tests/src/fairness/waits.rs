use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::load::{Answer, Outcome, Pool, Spread};

const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// How long each tenant's work waited from its acknowledgement until it began.
pub(super) struct Waits {
    tenants: Vec<Vec<Duration>>,
    /// Not accepted, or not begun in a long time.
    pub(super) lost: usize,
    /// Completions of all tenants, while these submitted.
    pub(super) done_per_s: f64,
}

impl Waits {
    /// Of a load, once all that was accepted has begun, or never will have.
    pub(super) async fn of(load: impl Future<Output = Vec<Vec<Answer>>>, pool: &Pool) -> Self {
        let (begun, before) = (Instant::now(), pool.completed());
        let tenants = load.await;
        let done_per_s = (pool.completed() - before) as f64 / begun.elapsed().as_secs_f64();
        let until = Instant::now() + BEGINS_WITHIN;
        let accepted = |answer: &&Answer| answer.outcome == Outcome::Accepted;
        let waits = |answer: &Answer| pool.began(answer.number).is_none();
        while Instant::now() < until && tenants.iter().flatten().filter(accepted).any(waits) {
            sleep(Duration::from_millis(100)).await;
        }
        let wait = |answer: &Answer| Some(pool.began(answer.number)?.saturating_duration_since(answer.answered));
        let answered = tenants.iter().map(Vec::len).sum::<usize>();
        let tenants: Vec<Vec<_>> =
            tenants.iter().map(|answers| answers.iter().filter(accepted).filter_map(wait).collect()).collect();
        let lost = answered - tenants.iter().map(Vec::len).sum::<usize>();
        Self { tenants, lost, done_per_s }
    }

    pub(super) fn count(&self) -> usize {
        self.tenants.iter().map(Vec::len).sum()
    }

    pub(super) fn all(&self) -> Spread {
        self.tenants.iter().flatten().copied().collect()
    }

    /// The p99 of the tenant that has the longest.
    pub(super) fn worst_p99(&self) -> f64 {
        let p99 = |waits: &Vec<Duration>| waits.iter().copied().collect::<Spread>().p99();
        self.tenants.iter().map(p99).fold(0.0, f64::max)
    }
}
