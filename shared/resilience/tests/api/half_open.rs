//! A crowd at the half-open moment, on real threads and through the tower layer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use holdfast_resilience::breaker::State;
use holdfast_resilience::{Breaker, BreakerLayer, Classify, Refused, Settings, Verdict};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};

const CALLERS: usize = 200;
const OPEN: Duration = Duration::from_millis(20);

/// Says that it was reached, and answers when it may.
#[derive(Clone)]
struct Dependency {
    reached: Arc<AtomicU32>,
    may_answer: Arc<Semaphore>,
}

impl Service<()> for Dependency {
    type Response = bool;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<bool, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.reached.fetch_add(1, Ordering::SeqCst);
        let may_answer = Arc::clone(&self.may_answer);
        Box::pin(async move {
            may_answer.acquire().await.expect("never closed").forget();
            Ok(true)
        })
    }
}

/// Whether the dependency itself answered.
#[derive(Clone)]
struct Itself;

impl Classify<bool, Infallible> for Itself {
    fn judge(&self, _: &Result<bool, Infallible>) -> Verdict {
        Verdict::Healthy
    }

    fn refuse(&self, _: Refused) -> Result<bool, Infallible> {
        Ok(false)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_callers_at_the_half_open_moment_exactly_n_reach_the_dependency() {
    for probes in [1, 3, 7] {
        let settings =
            Settings { minimum_calls: 1, open: OPEN, jitter_percent: 0, probes: probes as u32, ..Settings::default() };
        let breaker = Breaker::new(settings);
        breaker.acquire().expect("closed").failure();
        while !breaker.snapshot().retry_after.is_zero() {
            tokio::task::yield_now().await;
        }

        let dependency = Dependency { reached: Arc::default(), may_answer: Arc::new(Semaphore::new(0)) };
        let guarded = BreakerLayer::new(breaker.clone(), Itself).layer(dependency.clone());
        let (start, mut calls) = (Arc::new(Barrier::new(CALLERS)), JoinSet::new());
        for _ in 0..CALLERS {
            let (start, guarded) = (Arc::clone(&start), guarded.clone());
            calls.spawn(async move {
                start.wait().await;
                guarded.oneshot(()).await.expect("infallible")
            });
        }
        for _ in probes..CALLERS {
            let answered = calls.join_next().await.expect("all but the probes are refused").expect("no panic");
            assert!(!answered);
        }
        assert_eq!(dependency.reached.load(Ordering::SeqCst), probes as u32);
        assert_eq!(breaker.snapshot().state, State::HalfOpen);

        dependency.may_answer.add_permits(probes);
        while let Some(answered) = calls.join_next().await {
            assert!(answered.expect("no panic"), "the probes had answers of their own");
        }
        assert_eq!(dependency.reached.load(Ordering::SeqCst), probes as u32);
        assert_eq!(breaker.snapshot().state, State::Closed);
    }
}
