//! What the provider allows, and how it says that it does not.

use futures::future::join_all;
use holdfast_simulator::{Config, Faults, Hint, Limits, ModelLimits, Most, Of};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{World, said};

fn limited(limits: Limits) -> Config {
    let models = vec!["simulated-model".into(), "small".into()];
    Config { keys: [("simulated".to_owned(), limits)].into(), models, ..Config::default() }
}

fn of_model(model: &str, input: u64, output: u64) -> Value {
    let mut body = said("hi");
    body["model"] = model.into();
    body["metadata"] = json!({"input_tokens": input, "output_tokens": output});
    body
}

impl World {
    async fn status(&self, body: &Value) -> u16 {
        self.chat("simulated", body).send().await.expect("an answer").status().as_u16()
    }
}

/// The headers of an answer that tell of limits.
fn told(answer: &Response) -> Vec<&str> {
    let names = answer.headers().keys().map(|name| name.as_str());
    let mut told: Vec<_> = names.filter(|name| name.contains("ratelimit") || name.contains("retry-after")).collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn tokens_read_and_tokens_written_have_limits_of_their_own() {
    let limits = Limits { input_tokens_per_minute: Some(100), output_tokens_per_minute: Some(50), ..Limits::default() };
    let world = World::start(limited(limits)).await;
    assert_eq!(world.status(&of_model("small", 60, 10)).await, 200);
    assert_eq!(world.status(&of_model("small", 60, 10)).await, 429);
    assert_eq!(world.status(&of_model("small", 40, 45)).await, 200, "how long an answer becomes is not known before");
    assert_eq!(world.status(&of_model("small", 0, 1)).await, 429);
    let refused = world.simulator.counts().key("simulated").refused_by;
    assert_eq!(refused, [("input_tokens".to_owned(), 1), ("output_tokens".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_model_of_a_key_has_limits_beside_the_keys() {
    let small = ModelLimits { requests_per_minute: Some(1), ..ModelLimits::default() };
    let models = [("small".to_owned(), small)].into();
    let world = World::start(limited(Limits { requests_per_minute: Some(3), models, ..Limits::default() })).await;
    let statuses = [
        world.status(&of_model("small", 1, 1)).await,
        world.status(&of_model("small", 1, 1)).await,
        world.status(&of_model("simulated-model", 1, 1)).await,
        world.status(&of_model("simulated-model", 1, 1)).await,
    ];
    // A request that a model refused has arrived all the same.
    assert_eq!(statuses, [200, 429, 200, 429]);
}

#[tokio::test]
async fn the_strict_count_has_what_was_refused_too() {
    let world = World::start(limited(Limits { requests_per_minute: Some(3), ..Limits::default() })).await;
    join_all((0..5).map(|_| world.chat("simulated", &of_model("small", 10, 4)).send())).await;
    let counts = world.simulator.counts().key("simulated");
    assert_eq!((counts.answered, counts.in_window_max), (3, 3));
    assert_eq!(counts.most, Most { requests: 5, tokens: 42, input_tokens: 30, output_tokens: 12 });
    assert_eq!(counts.models["small"].most, Most { requests: 3, ..counts.most });
}

#[tokio::test]
async fn what_is_left_is_told_with_every_answer_in_openais_words() {
    let limits = Limits { requests_per_minute: Some(2), tokens_per_minute: Some(1_000), ..Limits::default() };
    let world = World::start(limited(limits)).await;
    let answer = world.chat("simulated", &of_model("small", 10, 4)).send().await.expect("an answer");
    let header = |name: &str| answer.headers()[name].to_str().expect("text");
    assert_eq!((header("x-ratelimit-limit-requests"), header("x-ratelimit-remaining-requests")), ("2", "1"));
    assert_eq!((header("x-ratelimit-limit-tokens"), header("x-ratelimit-remaining-tokens")), ("1000", "990"));
    let reset = header("x-ratelimit-reset-requests");
    assert!(reset == "1m0s" || reset.starts_with("59."), "{reset}");
}

#[tokio::test]
async fn a_429_says_when_to_come_back_as_it_is_told_to() {
    let world = World::start(limited(Limits { requests_per_minute: Some(0), ..Limits::default() })).await;
    let resets = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    let all = [&["retry-after", "retry-after-ms"], &resets[..]].concat();
    let cases = [
        (None, all),
        (Some(Hint::RetryAfter), vec!["retry-after"]),
        (Some(Hint::RetryAfterMs), vec!["retry-after-ms"]),
        (Some(Hint::Reset), resets.to_vec()),
        (Some(Hint::Nothing), vec![]),
    ];
    for (hint, wanted) in cases {
        world.simulator.set_faults(Of::Key("simulated"), Faults { hint, ..Faults::default() });
        let refused = world.ask("hi").await;
        assert_eq!((refused.status().as_u16(), told(&refused)), (429, wanted), "{hint:?}");
    }
}

#[tokio::test]
async fn a_fault_says_it_the_same_ways() {
    let world = World::start(limited(Limits::default())).await;
    let fault = Faults { error_rate: 1.0, error_status: 429, error_retry_after: Some(7), ..Faults::default() };
    for (hint, header, value) in [
        (None, "retry-after", "7"),
        (Some(Hint::RetryAfterMs), "retry-after-ms", "7000"),
        (Some(Hint::Reset), "x-ratelimit-reset-requests", "7s"),
    ] {
        world.simulator.set_faults(Of::Provider, Faults { hint, ..fault.clone() });
        let refused = world.ask("hi").await;
        assert_eq!(refused.headers()[header].to_str().expect("text"), value);
    }
    let code = Some("insufficient_quota".to_owned());
    world.simulator.set_faults(Of::Provider, Faults { error_code: code, hint: Some(Hint::Nothing), ..fault });
    let refused = world.ask("hi").await;
    assert!(told(&refused).is_empty());
    assert_eq!(refused.json::<Value>().await.expect("JSON")["error"]["code"], "insufficient_quota");
}
