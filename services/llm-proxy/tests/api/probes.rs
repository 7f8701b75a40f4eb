//! The way back of a circuit whose callers do not wait for its probes.

use std::time::Duration;

use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Limits, Of};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{
    harness::{Client, Harness, PATIENCE, model, provider, said},
    slow::Slow,
};

const PROBES: usize = 2;
const OPEN: Duration = Duration::from_millis(50);

/// A proxy whose circuit is open, before a provider that is well again.
async fn recovering() -> (Slow, Harness) {
    let slow = Slow::start().await;
    slow.refuse(500);
    let open = OPEN.as_millis();
    let breaker =
        format!("breaker = {{ minimum_calls = 1, open = \"{open}ms\", open_max = \"{open}ms\", probes = {PROBES} }}");
    let toml = slow.toml("name = \"k\"", &breaker);
    let harness = Harness::start(toml, provider(&[]).await).await;
    let refused = harness.say_within("hi", PATIENCE).await.expect_err("it is ill");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    slow.refuse(0);
    (slow, harness)
}

/// Calls, and comes back when told, until it is answered.
async fn patient(mut client: Client) {
    loop {
        match client.generate(said("hi")).await {
            Ok(_) => return,
            Err(refused) => sleep(status::retry_after(&refused).expect("it says when to come back")).await,
        }
    }
}

/// So many who call at once.
fn crowd(harness: &Harness, callers: usize) -> JoinSet<()> {
    (0..callers).map(|_| patient(harness.client.clone())).collect()
}

/// All of a crowd get through at once: no circuit counts them any more.
async fn closed(slow: &Slow, harness: &Harness) {
    let crowd = crowd(harness, 5 * PROBES);
    slow.until(|counts| counts.in_flight() as usize == 5 * PROBES).await;
    slow.answer();
    timeout(PATIENCE, crowd.join_all()).await.expect("all are answered");
}

#[tokio::test]
async fn while_its_circuit_is_half_open_a_provider_sees_exactly_so_many_probes() {
    const CALLERS: usize = 20;
    let (slow, harness) = recovering().await;
    let first = crowd(&harness, 1);
    slow.until(|counts| counts.arrived == 1).await;
    let mut others: JoinSet<_> = (1..CALLERS)
        .map(|_| {
            let mut client = harness.client.clone();
            async move { client.generate(said("hi")).await }
        })
        .collect();
    for _ in PROBES..CALLERS {
        let refused = timeout(PATIENCE, others.join_next()).await.expect("at once").expect("all but the probes");
        let refused = refused.expect("it ran").expect_err("nobody is answered yet");
        assert_eq!((refused.code(), status::retry_after(&refused)), (Code::Unavailable, Some(OPEN)));
    }
    assert_eq!(slow.until(|counts| counts.in_flight() as usize == PROBES).await.arrived as usize, PROBES);
    slow.answer();
    timeout(PATIENCE, first.join_all()).await.expect("it is answered");
    closed(&slow, &harness).await;
}

#[tokio::test]
async fn callers_who_give_up_before_the_answer_do_not_keep_a_circuit_half_open() {
    let (slow, harness) = recovering().await;
    for round in 1..=3 {
        let crowd = crowd(&harness, PROBES);
        // Those of the rounds before have gone, and their places are free; only the first of them are still at work.
        slow.until(|counts| counts.arrived as usize >= round * PROBES).await;
        drop(crowd);
        slow.until(|counts| counts.in_flight() as usize <= PROBES).await;
    }
    // Those of the first round, whom nobody waits for.
    slow.answer_first(PROBES as u32);
    closed(&slow, &harness).await;
}

#[tokio::test]
async fn a_probe_that_has_begun_to_answer_counts_though_its_reader_goes_away() {
    let (slow, harness) = recovering().await;
    for _ in 0..PROBES {
        let request = || pb::StreamGenerateRequest { request: Some(said("hi")) };
        let stream = async {
            loop {
                match harness.client.clone().stream_generate(request()).await {
                    Ok(stream) => return stream.into_inner(),
                    Err(refused) => sleep(status::retry_after(&refused).expect("it says when to come back")).await,
                }
            }
        };
        let mut stream = timeout(PATIENCE, stream).await.expect("a probe gets through");
        stream.message().await.expect("it has begun").expect("it has no end yet");
        drop(stream);
        slow.until(|counts| counts.in_flight() == 0).await;
    }
    assert_eq!(slow.counts().given_up as usize, PROBES, "the provider is told");
    closed(&slow, &harness).await;
}

#[tokio::test]
async fn a_provider_that_hangs_longer_than_its_callers_wait_is_found_out_by_its_probes() {
    const PATIENT: Duration = Duration::from_millis(50);
    let breaker = "timeout = \"300ms\"\n\
                   breaker = { minimum_calls = 1, open = \"100ms\", open_max = \"60s\", probes = 1 }";
    let toml = model("{ name = \"simulated\" }", breaker);
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { error_rate: 1.0, ..Faults::default() });
    harness.say_within("hi", PATIENCE).await.expect_err("it is ill");
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    // Half-open it tells the first open time; opened again, twice as much and the jitter at most.
    let found_out = async {
        loop {
            let refused = harness.say_within("hi", PATIENT).await.expect_err("it hangs");
            match status::retry_after(&refused) {
                Some(time) if time > Duration::from_millis(110) => return,
                Some(time) => sleep(time).await,
                None => {}
            }
        }
    };
    timeout(PATIENCE, found_out).await.expect("a probe's timeout is a failure, whoever still waits for it");
}
