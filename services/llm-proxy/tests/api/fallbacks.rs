//! Models with several deployments: which one answers, and what is told when none does.

use std::time::Duration;

use futures::future::join_all;
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Limits, Of};
use tonic::Code;

use crate::harness::{Harness, PATIENCE, allowed, model, provider, said};

/// Two providers with one key each, `a` and `b`, and a model on both.
pub struct Two<'t> {
    pub first: &'t str,
    pub second: &'t str,
    /// Further settings of the first provider, and of the model.
    pub provider: &'t str,
    pub model: &'t str,
    pub deployments: [&'t str; 2],
}

impl Default for Two<'_> {
    fn default() -> Self {
        Self { first: "concurrency = 4", second: "concurrency = 4", provider: "", model: "", deployments: [""; 2] }
    }
}

impl Two<'_> {
    pub fn toml(&self) -> String {
        let provider = |name: &str, key: &str, limits: &str, more: &str| {
            format!(
                "[providers.{name}]\nkind = \"openai\"\nbase_url = \"simulator:/v1\"\n\
                 keys = [{{ name = \"{key}\", {limits} }}]\n{more}\n"
            )
        };
        let deployment =
            |provider: &str, more: &str| format!("{{ provider = \"{provider}\", model = \"simulated-model\"{more} }}");
        let [first, second] = self.deployments;
        let deployments = [deployment("one", first), deployment("two", second)].join(", ");
        provider("one", "a", self.first, self.provider)
            + &provider("two", "b", self.second, "")
            + &format!("[models.m]\ndeployments = [{deployments}]\n{}\n", self.model)
    }

    pub async fn start(&self) -> Harness {
        Harness::start(self.toml(), provider(&[("a", Limits::default()), ("b", Limits::default())]).await).await
    }
}

fn status_of(error_status: u16) -> Faults {
    Faults { error_rate: 1.0, error_status, ..Faults::default() }
}

async fn answered_by(harness: &Harness) -> String {
    harness.say_within("hi", PATIENCE).await.expect("one of the two answers").deployment
}

const FIRST: &str = "one/simulated-model";
const SECOND: &str = "two/simulated-model";

#[tokio::test]
async fn a_call_that_would_wait_too_long_for_its_model_goes_on_to_the_next_deployment() {
    // The first would have a place again within the deadline.
    let two = Two {
        first: "requests_per_minute = 1",
        provider: "window = \"10s\"",
        model: "fallback_after = \"100ms\"",
        ..Two::default()
    };
    let harness = two.start().await;
    assert_eq!([answered_by(&harness).await, answered_by(&harness).await], [FIRST, SECOND]);
    let (_, end) = harness.stream_within("hi", PATIENCE).await;
    assert!(end.is_none(), "so it is with streams: {end:?}");
    let counts = harness.provider.counts();
    assert_eq!((counts.key("a").answered, counts.key("b").answered), (1, 2));
}

#[tokio::test]
async fn where_all_are_only_slow_the_one_that_starts_first_is_waited_at() {
    let two = Two {
        first: "requests_per_minute = 1",
        second: "requests_per_minute = 1",
        provider: "window = \"10s\"",
        model: "fallback_after = \"50ms\"",
        ..Two::default()
    };
    let toml = two.toml().replace(
        "name = \"b\", requests_per_minute = 1 }]",
        "name = \"b\", requests_per_minute = 1 }]\nwindow = \"700ms\"",
    );
    let harness = Harness::start(toml, provider(&[("a", Limits::default()), ("b", Limits::default())]).await).await;
    assert_eq!([answered_by(&harness).await, answered_by(&harness).await], [FIRST, SECOND]);
    let waited = harness.say_within("hi", PATIENCE).await.expect("it waits at the second");
    assert_eq!(waited.deployment, SECOND);
    let timing = waited.timing.expect("timing");
    assert!(timing.waited.is_some_and(|waited| waited.seconds > 0 || waited.nanos > 300_000_000), "{timing:?}");
}

#[tokio::test]
async fn a_single_deployment_is_waited_at_however_long_its_line() {
    let toml = model("{ name = \"a\", requests_per_minute = 1 }", "window = \"500ms\"") + "fallback_after = \"10ms\"\n";
    let harness = Harness::start(toml, provider(&[("a", allowed(Some(1), None, 500))]).await).await;
    let answers = join_all((0..3).map(|_| harness.say_within("hi", PATIENCE))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_conversation_that_is_surely_too_long_is_not_sent() {
    let two = Two { deployments: [", context_tokens = 1000", ""], ..Two::default() };
    let harness = two.start().await;
    assert_eq!(answered_by(&harness).await, FIRST);
    let answer = harness.say(&"many words, one after the other, ".repeat(1_000)).await.expect("the second has room");
    assert_eq!(answer.deployment, SECOND);
    assert_eq!(harness.provider.counts().key("a").requests, 1);
}

#[tokio::test]
async fn what_a_provider_finds_too_long_goes_where_there_is_room() {
    let harness = Two::default().start().await;
    let too_long = Faults { error_code: Some("context_length_exceeded".into()), ..status_of(400) };
    harness.provider.set_faults(Of::Key("a"), too_long.clone());
    assert_eq!(answered_by(&harness).await, SECOND);
    harness.provider.set_faults(Of::Key("b"), too_long);
    let refused = harness.say("hi").await.expect_err("it fits nowhere");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(status::reason(&refused).as_deref(), Some("CONTEXT_LENGTH"));
}

#[tokio::test]
async fn a_provider_without_a_usable_key_or_the_model_is_passed_by() {
    let harness = Two::default().start().await;
    harness.provider.set_faults(Of::Key("a"), status_of(404));
    assert_eq!(answered_by(&harness).await, SECOND);
    harness.provider.revoke_key("a");
    assert_eq!([answered_by(&harness).await, answered_by(&harness).await], [SECOND, SECOND]);
    assert_eq!(harness.provider.counts().strangers, 1, "the key is left alone");
}

#[tokio::test]
async fn those_in_line_go_on_when_the_circuit_opens_before_them() {
    let breaker = "timeout = \"300ms\"\nbreaker = { minimum_calls = 1, open = \"60s\", open_max = \"60s\" }";
    let harness = Two { first: "concurrency = 1", provider: breaker, ..Two::default() }.start().await;
    harness.provider.set_faults(Of::Key("a"), Faults { hang_rate: 1.0, ..Faults::default() });
    let answers = join_all((0..3).map(|_| harness.say_within("hi", PATIENCE))).await;
    for answer in answers {
        assert_eq!(answer.expect("the second answers").deployment, SECOND);
    }
    assert_eq!(harness.provider.counts().key("a").requests, 1, "nobody else tried it");
}

#[tokio::test]
async fn a_deployment_that_says_when_to_come_back_is_left_alone_until_then() {
    let harness = Two::default().start().await;
    let unwell = Faults { error_retry_after: Some(30), times: Some(1), ..status_of(503) };
    harness.provider.set_faults(Of::Key("a"), unwell);
    for _ in 0..5 {
        assert_eq!(answered_by(&harness).await, SECOND);
    }
    assert_eq!(harness.provider.counts().key("a").requests, 1);
}

#[tokio::test]
async fn limits_alone_are_told_with_the_earliest_time_to_come_back() {
    let two = Two { first: "requests_per_minute = 1", second: "requests_per_minute = 1", ..Two::default() };
    let toml = two.toml().replace(
        "name = \"b\", requests_per_minute = 1 }]",
        "name = \"b\", requests_per_minute = 1 }]\nwindow = \"30s\"",
    );
    let harness = Harness::start(toml, provider(&[("a", Limits::default()), ("b", Limits::default())]).await).await;
    assert_eq!([answered_by(&harness).await, answered_by(&harness).await], [FIRST, SECOND]);
    let refused = harness.say_within("hi", Duration::from_secs(5)).await.expect_err("both are at their limits");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let retry_after = status::retry_after(&refused).expect("it says when");
    assert!((Duration::from_secs(20)..=Duration::from_secs(31)).contains(&retry_after), "{retry_after:?}");
}

#[tokio::test]
async fn a_model_of_which_a_deployment_is_gone_is_unavailable_and_has_its_fallback() {
    let two = Two { first: "requests_per_minute = 1", ..Two::default() };
    let harness = two.start().await;
    assert_eq!(answered_by(&harness).await, FIRST);
    harness.provider.set_faults(Of::Key("b"), status_of(500));
    let gone = harness.say_within("hi", Duration::from_secs(5)).await.expect_err("one is full, the other ill");
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    assert!(status::retry_after(&gone).is_some());
    let fixed = Two { model: "fallback = { answer = \"Later.\" }", ..two };
    let harness = fixed.start().await;
    assert_eq!(answered_by(&harness).await, FIRST);
    harness.provider.set_faults(Of::Key("b"), status_of(500));
    let answer = harness.say_within("hi", Duration::from_secs(5)).await.expect("the fallback");
    assert!(answer.degraded && answer.deployment.is_empty());
    harness.provider.set_faults(Of::Key("a"), status_of(500));
    harness.say_within("hi", Duration::from_secs(5)).await.expect("the fallback");
    let (parts, end) = harness.stream_within("hi", Duration::from_secs(5)).await;
    assert!(end.is_none() && parts.len() == 2, "{parts:?} {end:?}");
}

#[tokio::test]
async fn deployments_with_weights_share_the_calls_and_stand_in_for_each_other() {
    let harness = Two { deployments: [", weight = 1", ", weight = 3"], ..Two::default() }.start().await;
    for _ in 0..200 {
        harness.ask(said("hi")).await.expect("an answer");
    }
    let shares = |harness: &Harness| {
        let counts = harness.provider.counts();
        (counts.key("a").answered, counts.key("b").answered)
    };
    let (light, heavy) = shares(&harness);
    assert!((20..=90).contains(&light) && light + heavy == 200, "{light} and {heavy}");
    harness.provider.set_faults(Of::Key("b"), status_of(500));
    for _ in 0..20 {
        harness.ask(said("hi")).await.expect("the other one stands in");
    }
    assert_eq!(shares(&harness), (light + 20, heavy));
}
