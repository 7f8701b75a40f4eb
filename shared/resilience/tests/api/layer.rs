//! The tower layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use holdfast_resilience::{Breaker, BreakerLayer, Classify, Refused, Settings, Verdict};
use tower::{Layer, Service, ServiceExt};

/// Answers with a status, and counts how often anybody came near it.
#[derive(Clone)]
struct Dependency {
    touched: Arc<AtomicU32>,
}

impl Service<u16> for Dependency {
    type Response = u16;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u16, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, status: u16) -> Self::Future {
        std::future::ready(Ok(status))
    }
}

#[derive(Clone)]
struct ByStatus;

impl Classify<u16, Infallible> for ByStatus {
    fn judge(&self, answer: &Result<u16, Infallible>) -> Verdict {
        match answer {
            Ok(500..) => Verdict::Failing,
            Ok(499) => Verdict::Silent,
            Ok(_) => Verdict::Healthy,
            Err(never) => match *never {},
        }
    }

    fn refuse(&self, _: Refused) -> Result<u16, Infallible> {
        Ok(503)
    }
}

fn guarded(touched: &Arc<AtomicU32>) -> impl Service<u16, Response = u16, Error = Infallible> + Clone {
    let settings = Settings { minimum_calls: 2, failure_percent: 100, ..Settings::default() };
    let layer = BreakerLayer::new(Breaker::new(settings), ByStatus);
    layer.layer(Dependency { touched: Arc::clone(touched) })
}

#[tokio::test]
async fn an_open_breaker_answers_without_touching_the_inner_service() {
    let touched = Arc::new(AtomicU32::new(0));
    let service = guarded(&touched);
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(500).await, Ok(500));
    }
    for _ in 0..10 {
        assert_eq!(service.clone().oneshot(200).await, Ok(503));
    }
    assert_eq!(touched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_says_nothing_counts_for_nothing() {
    let touched = Arc::new(AtomicU32::new(0));
    let service = guarded(&touched);
    for status in [499, 499, 500, 200, 500] {
        assert_eq!(service.clone().oneshot(status).await, Ok(status));
    }
    assert_eq!(touched.load(Ordering::SeqCst), 5);
}
