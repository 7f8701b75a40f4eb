//! Closed-loop load: so many callers, each calling again as soon as it is answered.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tonic::transport::{Channel, Endpoint};

use crate::cpu;

/// Not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(700);
/// Counted.
const MEASURED: Duration = Duration::from_millis(2_000);
/// How often baseline and subject take turns. On a machine that others use too, single rounds differ by a fifth and more.
pub(crate) const ROUNDS: usize = 5;

/// One caller's next call.
pub(crate) trait Call: Send + 'static {
    fn call(&mut self) -> impl Future<Output = ()> + Send;

    /// What counts of the call that has just ended, where that is not all of it.
    fn span(&self, whole: Duration) -> Duration {
        whole
    }
}

/// What one load showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Calls a second.
    pub(crate) rate: f64,
    /// Half of the calls were faster.
    pub(crate) p50: Duration,
    /// All but one in a hundred were faster.
    pub(crate) p99: Duration,
    /// Processor time of one call, in all processes.
    pub(crate) cpu: Duration,
}

/// Drives the callers and measures.
pub(crate) async fn drive<C: Call>(callers: Vec<C>) -> Load {
    let warm = Instant::now() + WARM_UP;
    let end = warm + MEASURED;
    let tasks: Vec<_> = callers
        .into_iter()
        .map(|mut caller| {
            tokio::spawn(async move {
                let mut spans = Vec::with_capacity(4_096);
                loop {
                    let started = Instant::now();
                    caller.call().await;
                    let now = Instant::now();
                    if now > end {
                        return (caller, spans);
                    }
                    if started >= warm {
                        spans.push(caller.span(now - started));
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep_until(warm.into()).await;
    let before = cpu::spent();
    tokio::time::sleep_until(end.into()).await;
    let cpu = cpu::spent() - before;
    let mut spans = Vec::new();
    for task in tasks {
        spans.extend(task.await.expect("no caller panics").1);
    }
    spans.sort_unstable();
    let faster = |share: usize| *spans.get(spans.len() * share / 100).expect("at least one call was counted");
    Load {
        rate: spans.len() as f64 / MEASURED.as_secs_f64(),
        p50: faster(50),
        p99: faster(99),
        cpu: cpu / spans.len() as u32,
    }
}

/// Baseline and subject in turn, so that a drift of the machine meets both; the pairs.
pub(crate) async fn pairs<A: Future<Output = Load>, B: Future<Output = Load>>(
    mut baseline: impl FnMut() -> A,
    mut subject: impl FnMut() -> B,
) -> Vec<(Load, Load)> {
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        pairs.push((baseline().await, subject().await));
    }
    pairs
}

/// The median of a figure over the rounds.
pub(crate) fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Connections for so many callers: one for one, else four; stock tonic.
pub(crate) async fn channels(url: &str, callers: usize) -> Vec<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL of our own");
    let connections = if callers == 1 { 1 } else { 4 };
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(endpoint.connect().await.expect("the server listens"));
    }
    (0..callers).map(|caller| channels[caller % connections].clone()).collect()
}
