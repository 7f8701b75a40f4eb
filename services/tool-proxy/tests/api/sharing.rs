//! Circuits of several tool-proxies that share a Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join;
use futures::stream::FuturesUnordered;
use holdfast_proto::tool::v1::{CircuitMode, CircuitState, Outcome};
use holdfast_testkit::{Fault, Signal};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::harness::tool;
use crate::tool_server::Does;
use crate::twins::Twins;

const QUICK: &str = "effect = \"read_only\"\nattempts = 1\nconcurrency = 500\n\
                     breaker = { minimum_calls = 4, open = \"300ms\", open_max = \"300ms\", jitter_percent = 0, probes = 3 }";
const LASTING: &str = "effect = \"read_only\"\nattempts = 1\n\
                       breaker = { minimum_calls = 4, open = \"1h\", open_max = \"1h\", probes = 3 }";

async fn twins(more: &str) -> Twins {
    patient_twins(Duration::from_secs(10), more).await
}

async fn patient_twins(patience: Duration, more: &str) -> Twins {
    let twins = Twins::patient(patience, |server| tool("bad", &server.url("/bad"), more)).await;
    twins.server.on("/bad", Does::Answer(500, json!({})));
    twins
}

/// Calls at one of them until its circuit is open.
async fn trip(twins: &Twins, twin: usize) {
    let mut news = twins.watch(twin, "bad").await;
    twins.calls(twin, "bad", 4).await;
    news.comes_to(CircuitState::Open).await;
}

#[tokio::test]
async fn an_opening_that_one_process_sees_holds_the_calls_of_all() {
    let twins = twins(LASTING).await;
    let mut news = twins.watch(1, "bad").await;
    assert_eq!(news.next().await.state(), CircuitState::Closed);
    trip(&twins, 0).await;

    let open = news.next().await;
    assert_eq!((open.state(), open.reason.as_str()), (CircuitState::Open, "4 of 4 calls failed"));
    let left = open.retry_after.expect("what is left").seconds;
    assert!((3_500..=3_960).contains(&left), "{left} s of an hour are left");
    let connections = twins.server.connections();
    let answer = twins.call(1, "bad").await;
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "CIRCUIT_OPEN"));
    assert_eq!((twins.server.hits("/bad").len(), twins.server.connections()), (4, connections));
}

#[tokio::test]
async fn exactly_n_probes_reach_the_tool_over_all_processes_and_all_close_when_they_succeed() {
    let twins = twins(QUICK).await;
    let mut news = [twins.watch(0, "bad").await, twins.watch(1, "bad").await];
    trip(&twins, 0).await;
    for news in &mut news {
        news.comes_to(CircuitState::Open).await;
    }
    let gate = Arc::new(Semaphore::new(0));
    twins.server.on("/bad", Does::Gate(Arc::clone(&gate), json!({})));
    // By the circuit's own news of time: nothing passes before its open time is over.
    let mut held = 0;
    while twins.watch(1, "bad").await.next().await.retry_after.is_some_and(|left| left != Default::default()) {
        held += 1;
        assert!(held < 10_000);
    }

    let mut callers: FuturesUnordered<_> = (0..200).map(|caller| twins.call(caller % 2, "bad")).collect();
    for _ in 0..200 - 3 {
        let answer = callers.next().await.expect("whoever is no probe is answered at once");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "CIRCUIT_OPEN"));
    }
    for news in &mut news {
        news.comes_to(CircuitState::HalfOpen).await;
    }
    gate.add_permits(1_000);
    while let Some(answer) = callers.next().await {
        assert_eq!(answer.outcome(), Outcome::Real);
    }
    assert_eq!(twins.server.hits("/bad").len(), 4 + 3, "exactly the probes reached the tool");
    for news in &mut news {
        assert_eq!(news.comes_to(CircuitState::Closed).await.reason, "every probe succeeded");
    }
    assert_eq!(twins.call(0, "bad").await.outcome(), Outcome::Real);
    assert_eq!(twins.call(1, "bad").await.outcome(), Outcome::Real);
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_circuit_for_all() {
    let twins = twins(QUICK).await;
    let mut news = twins.watch(1, "bad").await;
    trip(&twins, 0).await;
    news.comes_to(CircuitState::Open).await;
    while twins.server.hits("/bad").len() == 4 {
        twins.call(0, "bad").await;
    }
    // The half-open may be over before the other looks.
    let open = news.until(|circuit| circuit.reason == "a probe failed").await;
    assert_eq!(open.state(), CircuitState::Open);
}

#[tokio::test]
async fn the_probes_of_a_process_that_died_come_back() {
    let quick = QUICK.replace("probes = 3", "probes = 1");
    let config = "timeout = \"200ms\"\nconnect_timeout = \"200ms\"\n";
    let start = |server: &crate::tool_server::ToolServer| {
        "[tool_proxy]\nstate_timeout = \"200ms\"\n".to_owned()
            + &tool("bad", &server.url("/bad"), &(quick + "\n" + config))
    };
    let mut twins = Twins::start(start).await;
    twins.server.on("/bad", Does::Answer(500, json!({})));
    let mut news = twins.watch(1, "bad").await;
    trip(&twins, 0).await;
    news.comes_to(CircuitState::Open).await;

    twins.server.on("/bad", Does::Hang);
    let mut client = twins.tools[0].clone();
    let probing = tokio::spawn(async move {
        loop {
            let asked = client.call_tool(crate::harness::request("bad", &json!({}))).await;
            if asked.is_err() {
                break;
            }
        }
    });
    twins.server.arrived("/bad", 5).await;
    twins.kill(0);
    probing.await.expect("no panic");
    twins.server.on("/bad", Does::Answer(200, json!({})));
    news.comes_to(CircuitState::HalfOpen).await;
    while twins.call(1, "bad").await.outcome() != Outcome::Real {}
    assert_eq!(news.comes_to(CircuitState::Closed).await.reason, "every probe succeeded");
    assert_eq!(twins.server.hits("/bad").len(), 6, "one probe at a time");
}

#[tokio::test]
async fn a_process_that_starts_begins_with_what_the_others_know() {
    let mut twins = twins(LASTING).await;
    twins.kill(1);
    trip(&twins, 0).await;
    twins.redis.has("{hf:circuits}:bad").await;
    twins.restart(1).await;
    assert_eq!(twins.call(1, "bad").await.degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(twins.server.hits("/bad").len(), 4);

    // A Redis that lost everything learns it from those who know.
    twins.redis.replace().await;
    twins.kill(1);
    twins.redis.has("{hf:circuits}:bad").await;
    twins.restart(1).await;
    assert_eq!(twins.call(1, "bad").await.degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(twins.server.hits("/bad").len(), 4);
}

#[tokio::test]
async fn an_operators_word_is_in_force_everywhere_and_outlasts_every_process() {
    let mut twins = twins(LASTING).await;
    twins.server.on("/bad", Does::Answer(200, json!({})));
    let mut news = twins.watch(1, "bad").await;
    twins.set(0, "bad", CircuitMode::Open, "the vendor migrates").await;
    let open = news.comes_to(CircuitState::Open).await;
    assert_eq!((open.mode(), open.set_reason.as_str()), (CircuitMode::Open, "the vendor migrates"));
    assert!(open.reason.starts_with("opened by hand by ") && open.reason.ends_with(": the vendor migrates"));
    assert_eq!(twins.call(1, "bad").await.degraded_reason, "CIRCUIT_OPEN");

    twins.kill(0);
    twins.kill(1);
    twins.redis.replace().await;
    twins.restart(0).await;
    assert_eq!(twins.call(0, "bad").await.degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(twins.watch(0, "bad").await.next().await.mode(), CircuitMode::Open);
    twins.restart(1).await;
    assert_eq!(twins.call(1, "bad").await.degraded_reason, "CIRCUIT_OPEN");
    assert!(twins.server.hits("/bad").is_empty());

    let mut news = twins.watch(0, "bad").await;
    assert_eq!(
        twins.set(1, "bad", CircuitMode::Auto, "").await.state(),
        CircuitState::HalfOpen,
        "it begins by probing"
    );
    news.until(|circuit| circuit.mode() == CircuitMode::Auto).await;
    while twins.watch(0, "bad").await.next().await.state() != CircuitState::Closed {
        join(twins.calls(0, "bad", 3), twins.calls(1, "bad", 3)).await;
    }
}

#[tokio::test]
async fn while_redis_is_away_each_goes_on_alone_and_they_join_again_by_themselves() {
    let mut twins = twins(QUICK).await;
    let mut news = [twins.watch(0, "bad").await, twins.watch(1, "bad").await];
    trip(&twins, 0).await;
    for news in &mut news {
        news.comes_to(CircuitState::Open).await;
    }
    twins.redis.kill().await;
    twins.server.on("/bad", Does::Answer(200, json!({})));
    for (twin, news) in news.iter_mut().enumerate() {
        while twins.call(twin, "bad").await.outcome() != Outcome::Real {}
        news.comes_to(CircuitState::HalfOpen).await;
        while twins.watch(twin, "bad").await.next().await.state() != CircuitState::Closed {
            twins.call(twin, "bad").await;
        }
    }

    twins.redis.restart().await;
    twins.joined("bad").await;
    twins.server.on("/bad", Does::Answer(500, json!({})));
    let mut heard = twins.watch(0, "bad").await;
    trip(&twins, 1).await;
    heard.comes_to(CircuitState::Open).await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_probe_a_moment_and_nobody_else_anything() {
    let twins = patient_twins(Duration::from_millis(300), QUICK).await;
    trip(&twins, 0).await;
    twins.links[0].set(Fault::Stall);
    twins.redis.signal(Signal::Stop).await;
    twins.server.on("/bad", Does::Answer(200, json!({})));
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while twins.watch(0, "bad").await.next().await.state() != CircuitState::Closed {
        let asked = Instant::now();
        twins.call(0, "bad").await;
        slowest = slowest.max(asked.elapsed());
        assert!(started.elapsed() < Duration::from_secs(10), "it closes by its own probes");
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?} for a call that asked in vain");
    twins.redis.signal(Signal::Continue).await;
    twins.links[0].set(Fault::None);
    twins.joined("bad").await;
}

#[tokio::test]
async fn what_nobody_was_told_is_found_by_looking() {
    let twins = twins(LASTING).await;
    twins.joined("bad").await;
    let mut news = [twins.watch(0, "bad").await, twins.watch(1, "bad").await];
    // As if the message of a third process had been lost: the change is there, and nothing was published.
    let fields = "s open until 9000000000000000 n 1 why \"\\\"probe_failed\\\"\" ok 0 v 8000000000000000";
    let taken = twins.redis.command(&format!("HSET {{hf:circuits}}:bad {fields}")).await.expect("it answers");
    assert!(taken.starts_with(':'), "{taken}");
    for news in &mut news {
        assert_eq!(news.comes_to(CircuitState::Open).await.reason, "a probe failed");
    }
}

#[tokio::test]
async fn calls_of_a_closed_and_of_an_open_circuit_ask_nobody() {
    let twins = twins(LASTING).await;
    twins.server.on("/bad", Does::Answer(200, json!({})));
    let before = scripts_run(&twins).await;
    for _ in 0..10 {
        twins.calls(0, "bad", 20).await;
    }
    twins.set(0, "bad", CircuitMode::Open, "").await;
    for _ in 0..10 {
        twins.calls(0, "bad", 20).await;
    }
    let run = scripts_run(&twins).await - before;
    assert!(run < 40, "{run} scripts for 400 calls: only a look now and then, and what changed");
}

async fn scripts_run(twins: &Twins) -> u64 {
    let said = twins.redis.command("INFO commandstats").await.expect("it answers");
    let line = said.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0");
    line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a number")
}
