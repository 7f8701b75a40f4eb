//! The limits, by the provider's own count.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Span;
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Of};
use tonic::Code;

use crate::harness::{Harness, PATIENCE, allowed, model, one_key, provider};

fn slow(millis: u64) -> Faults {
    Faults { latency: Span::from_millis(millis), ..Faults::default() }
}

#[tokio::test]
async fn forty_callers_on_a_limit_of_twenty_at_once_see_no_429() {
    let harness =
        Harness::start(one_key("concurrency = 20"), provider(&[("simulated", allowed(None, Some(20), 60_000))]).await)
            .await;
    harness.provider.set_faults(Of::Provider, slow(20));
    for _ in 0..5 {
        let answers = join_all((0..40).map(|_| harness.say_within("hi", PATIENCE))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let counts = harness.provider.counts();
    assert_eq!((counts.refused(), counts.answered()), (0, 200));
    assert_eq!(counts.key("simulated").in_flight_max, 20, "the whole limit is used");
}

#[tokio::test]
async fn requests_in_any_window_stay_within_the_limit() {
    let keys = "{ name = \"simulated\", requests_per_minute = 30 }";
    let harness = Harness::start(
        model(keys, "window = \"300ms\""),
        provider(&[("simulated", allowed(Some(30), None, 300))]).await,
    )
    .await;
    let answers = join_all((0..100).map(|_| harness.say_within("hi", PATIENCE))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let counts = harness.provider.counts();
    assert_eq!((counts.refused(), counts.answered()), (0, 100));
    assert_eq!(counts.key("simulated").in_window_max, 30, "the whole limit is used");
    let waited = answers.iter().flatten().filter_map(|answer| answer.timing?.waited).map(|waited| waited.nanos);
    assert!(waited.max() > Some(0), "callers are told how long they waited");
}

#[tokio::test]
async fn tokens_in_any_window_stay_within_the_limit() {
    let keys = "{ name = \"simulated\", tokens_per_minute = 3000 }";
    let limits = holdfast_simulator::Limits { tokens_per_minute: Some(3_000), ..allowed(None, None, 300) };
    let toml = model(keys, "window = \"300ms\"").replace("[models.m]", "[models.m]\nmax_output_tokens = 200");
    let harness = Harness::start(toml, provider(&[("simulated", limits)]).await).await;
    let text = "word ".repeat(100);
    let answers = join_all((0..40).map(|_| harness.say_within(&text, PATIENCE))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((harness.provider.counts().refused(), harness.provider.counts().answered()), (0, 40));
}

#[tokio::test]
async fn calls_are_spread_over_the_keys_by_their_room() {
    let keys = [("a", allowed(None, Some(2), 60_000)), ("b", allowed(None, Some(6), 60_000))];
    let toml = model("{ name = \"a\", concurrency = 2 }, { name = \"b\", concurrency = 6 }", "");
    let harness = Harness::start(toml, provider(&keys).await).await;
    harness.provider.set_faults(Of::Provider, slow(200));
    let answers = join_all((0..8).map(|_| harness.say_within("hi", PATIENCE))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let counts = harness.provider.counts();
    assert_eq!((counts.key("a").in_flight_max, counts.key("b").in_flight_max), (2, 6));
    assert_eq!(counts.refused(), 0);
}

#[tokio::test]
async fn a_call_that_cannot_start_in_time_is_refused_at_once_with_the_time_to_come_back() {
    let keys = "{ name = \"simulated\", requests_per_minute = 1 }";
    let harness = Harness::start(
        model(keys, "window = \"60s\""),
        provider(&[("simulated", allowed(Some(1), None, 60_000))]).await,
    )
    .await;
    harness.say("hi").await.expect("the first fits");
    let asked = std::time::Instant::now();
    let refused = harness.say_within("hi", Duration::from_secs(10)).await.expect_err("a minute is too long");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(9), "at once, not at the deadline");
    let retry_after = status::retry_after(&refused).expect("it says when");
    assert!((Duration::from_secs(50)..=Duration::from_secs(61)).contains(&retry_after), "{retry_after:?}");
    assert!(!status::may_have_happened(&refused));
    assert_eq!(harness.provider.counts().key("simulated").requests, 1, "it opened no request");
}

#[tokio::test]
async fn the_line_is_bounded() {
    let toml = format!("[llm_proxy]\nwaiting_calls_max = 1\n{}", one_key("concurrency = 1"));
    let harness = Harness::start(toml, provider(&[("simulated", allowed(None, Some(1), 60_000))]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    let (first, second) = (harness.client.clone(), harness.client.clone());
    let call = |mut client: crate::harness::Client| {
        tokio::spawn(async move { client.generate(crate::harness::said("hi")).await })
    };
    let at_work = call(first);
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    let in_line = call(second);
    // Whichever of the two comes second finds the line full.
    let refused = harness.say("hi");
    tokio::pin!(refused);
    let refused = tokio::select! {
        answer = in_line => answer.expect("it ran").expect_err("the line is full"),
        answer = &mut refused => answer.expect_err("the line is full"),
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    at_work.abort();
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place_here_and_at_the_provider() {
    let harness =
        Harness::start(one_key("concurrency = 1"), provider(&[("simulated", allowed(None, Some(1), 60_000))]).await)
            .await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let mut client = harness.client.clone();
    let call = tokio::spawn(async move { client.generate(crate::harness::said("hi")).await });
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    call.abort();
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
    harness.say_within("hi", PATIENCE).await.expect("the place is free again");
    assert_eq!(harness.provider.counts().refused(), 0);
}
