//! Callers that go away, and when the provider sees it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use holdfast_config::Peer;
use holdfast_simulator::CallEnd;
use holdfast_testkit::Mesh;
use tokio::time::interval;

use super::{STEADY_TOKENS, ask};
use crate::llm::{Ask, Caller, Clock, calls, counts, until};
use crate::load::{Findings, Size, Spread, telling};

const SEEN_MS_MAX: f64 = 50.0;
/// Callers do not go all at the same moment.
const GAP: Duration = Duration::from_millis(10);

/// Some streams and some whole calls, through the gateway, each given up while the model is at it.
pub(super) async fn run(mesh: &Mesh, size: Size, findings: &mut Findings) {
    let (streams, whole) = size.of((300, 100), (30, 10));
    telling(format!("{streams} streams and {whole} whole calls are given up"));
    let caller = Caller::at(mesh, Peer::Gateway);
    let before = counts(mesh).await.key("steady").broken_off;
    let clock = Clock::read(mesh).await;
    findings.tell("clock_uncertain_ms", clock.uncertain.as_secs_f64() * 1e3);
    let marked = |mark: String| Ask { mark, ..ask("steady", STEADY_TOKENS) };
    let opening: FuturesUnordered<_> =
        (0..streams).map(|number| format!("stream-{number}")).map(|mark| begin(&caller, marked(mark))).collect();
    let opened: Vec<_> = opening.collect().await;
    let calling: Vec<_> = (0..whole)
        .map(|number| format!("whole-{number}"))
        .map(|mark| (mark.clone(), tokio::spawn(caller.call(&marked(mark)))))
        .collect();
    until(mesh, |counts| counts.key("steady").in_flight == streams + whole).await;

    let mut gaps = interval(GAP);
    let mut gone = HashMap::new();
    for (mark, stream) in opened {
        gaps.tick().await;
        drop(stream);
        gone.insert(mark, Instant::now());
    }
    for (mark, call) in calling {
        gaps.tick().await;
        gone.insert(mark, Instant::now());
        call.abort();
    }
    until(mesh, |counts| counts.key("steady").in_flight == 0).await;

    let seen = calls(mesh, "steady").await.into_iter().filter(|call| call.end == CallEnd::BrokenOff);
    let seen = seen.filter_map(|call| {
        let late_us = call.ended_us? as f64 - clock.at_us(*gone.get(&call.mark)?);
        Some((call.mark.starts_with("whole"), late_us / 1e3))
    });
    let (of_whole, of_streams): (Vec<_>, Vec<_>) = seen.partition(|(whole, _)| *whole);
    for (name, seen) in [("stream", of_streams), ("whole", of_whole)] {
        let late: Spread = seen.into_iter().map(|(_, late_ms)| late_ms).collect();
        findings.tell(format!("{name}_seen_gone_ms_p50"), late.median());
        findings.at_most(format!("{name}_seen_gone_ms_p99"), late.p99(), SEEN_MS_MAX);
    }
    let broken_off = counts(mesh).await.key("steady").broken_off - before;
    findings.at_least("seen_gone", broken_off as f64, f64::from(streams + whole));
}

/// A stream that has its first part.
async fn begin(caller: &Caller, ask: Ask) -> (String, impl Sized + use<>) {
    let mut stream = caller.open(&ask).await.expect("a stream begins");
    stream.message().await.expect("a stream goes on").expect("a stream has parts");
    (ask.mark, stream)
}
