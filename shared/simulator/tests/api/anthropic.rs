//! The provider in Anthropic's words.

use holdfast_simulator::{Config, Faults, Limits, Of, Rule, RuleCall};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::World;

impl World {
    fn message(&self, body: &Value) -> RequestBuilder {
        self.post("/v1/messages").header("x-api-key", "simulated").header("anthropic-version", "2023-06-01").json(body)
    }

    async fn answer(&self, body: &Value) -> Response {
        self.message(body).send().await.expect("an answer")
    }

    async fn refusal(&self, body: &Value) -> (u16, Value) {
        let answer = self.answer(body).await;
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON")["error"].take())
    }
}

fn ask(text: &str) -> Value {
    json!({
        "model": "simulated-model", "max_tokens": 1_000, "system": [{"type": "text", "text": "You help."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
    })
}

/// Events of a stream: each name with its data.
fn events(body: &str) -> Vec<(String, Value)> {
    let event = |text: &str| {
        let (name, data) = text.split_once("\n")?;
        let data = serde_json::from_str(data.strip_prefix("data: ")?).ok()?;
        Some((name.strip_prefix("event: ")?.to_owned(), data))
    };
    body.split_terminator("\n\n").map(|text| event(text).unwrap_or_else(|| panic!("no event: {text}"))).collect()
}

fn looks_up() -> Rule {
    let calls = vec![RuleCall { tool: "look".into(), arguments: json!({"id": "{{user.id}}"}) }];
    let mut rule = Rule { text: Some("A moment.".into()), calls, ..Rule::default() };
    rule.when.offers = vec!["look".into()];
    rule.when.unanswered = vec!["look".into()];
    rule
}

#[tokio::test]
async fn an_answer_is_a_message_with_its_usage() {
    let world = World::start(Config::default()).await;
    let answer: Value = world.answer(&ask("hello")).await.json().await.expect("JSON");
    assert_eq!(
        (&answer["type"], &answer["role"], &answer["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert_eq!(answer["content"][0]["text"], "This is a simulated model. You said: hello");
    assert_eq!((&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]), (&json!(4), &json!(11)));
    let mut short = ask("hello");
    short["max_tokens"] = 3.into();
    let cut: Value = world.answer(&short).await.json().await.expect("JSON");
    assert_eq!((&cut["stop_reason"], &cut["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(3)));
}

#[tokio::test]
async fn a_tool_is_used_and_its_result_is_read() {
    let world = World::start(Config::default()).await;
    let found = Rule { text: Some("{{result.look.name}} is known.".into()), ..Rule::default() };
    world.simulator.set_rules(vec![looks_up(), found]);
    let mut body = ask(r#"{"id": "C-1"}"#);
    body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    let first: Value = world.answer(&body).await.json().await.expect("JSON");
    assert_eq!(first["stop_reason"], "tool_use");
    assert_eq!(
        first["content"][1],
        json!({"type": "tool_use", "id": "toolu_0_0", "name": "look", "input": {"id": "C-1"}})
    );
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_0_0", "content": r#"{"name": "Ada"}"#});
    let turns = body["messages"].as_array_mut().expect("a list");
    turns.push(json!({"role": "assistant", "content": first["content"]}));
    turns.push(json!({"role": "user", "content": [result]}));
    let second: Value = world.answer(&body).await.json().await.expect("JSON");
    assert_eq!(second["content"][0]["text"], "Ada is known.");
}

#[tokio::test]
async fn a_stream_has_its_events_in_order_and_says_the_same() {
    let world = World::start(Config::default()).await;
    world.simulator.set_rules(vec![looks_up()]);
    let mut body = ask(r#"{"id": "C-1"}"#);
    body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    let whole: Value = world.answer(&body).await.json().await.expect("JSON");
    body["stream"] = true.into();
    let events = events(&world.answer(&body).await.text().await.expect("text"));
    let mut names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    assert_eq!(names, [&["message_start"], &block[..], &block[..], &["message_delta", "message_stop"]].concat());
    assert!(events.iter().all(|(name, data)| data["type"] == *name), "each event names itself twice");
    let deltas = |index: usize, field: &str| -> String {
        let of_block = events.iter().filter(|(_, data)| data["index"] == index);
        of_block.filter_map(|(_, data)| data["delta"][field].as_str()).collect()
    };
    assert_eq!(whole["content"][0]["text"], deltas(0, "text"));
    assert_eq!(whole["content"][1]["input"].to_string(), deltas(1, "partial_json"));
    let (_, end) = &events[events.len() - 2];
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("tool_use"), &whole["usage"]["output_tokens"])
    );
}

#[tokio::test]
async fn errors_have_anthropics_types() {
    let world = World::start(Config { context_tokens: 20, ..Config::default() }).await;
    let of = async |body: &Value| {
        let (status, error) = world.refusal(body).await;
        (status, error["type"].as_str().unwrap_or_default().to_owned(), error["message"].clone())
    };
    let long = of(&ask(&"word ".repeat(50))).await;
    assert_eq!(long, (400, "invalid_request_error".into(), json!("prompt is too long: 65 tokens > 20 maximum")));
    let (_, _, message) = of(&ask("hi")).await;
    let text = "input length and `max_tokens` exceed context limit: 3 + 1000 > 20, decrease input length or \
                `max_tokens` and try again";
    assert_eq!(message, text);
    let mut unknown = ask("hi");
    unknown["model"] = "claude-99".into();
    assert_eq!(of(&unknown).await, (404, "not_found_error".into(), json!("model: claude-99")));
    let mut without = ask("hi");
    without.as_object_mut().expect("an object").remove("max_tokens");
    assert_eq!(of(&without).await.1, "invalid_request_error");
    let old = world.post("/v1/messages").header("x-api-key", "simulated").json(&ask("hi"));
    assert_eq!(old.send().await.expect("an answer").status(), 400, "the version is required");
    let stranger = world.post("/v1/messages").bearer_auth("simulated").json(&ask("hi"));
    assert_eq!(stranger.send().await.expect("an answer").status(), 401, "the key has a header of its own");
    let overloaded = Faults { error_rate: 1.0, error_status: 529, ..Faults::default() };
    world.simulator.set_faults(Of::Provider, overloaded);
    let mut short = ask("hi");
    short["max_tokens"] = 5.into();
    assert_eq!(of(&short).await, (529, "overloaded_error".into(), json!("Overloaded")));
}

#[tokio::test]
async fn what_is_left_is_told_with_a_time_of_day() {
    let limits = Limits {
        requests_per_minute: Some(1),
        input_tokens_per_minute: Some(100),
        output_tokens_per_minute: Some(50),
        ..Limits::default()
    };
    let world = World::start(Config { keys: [("simulated".to_owned(), limits)].into(), ..Config::default() }).await;
    let answer = world.answer(&ask("hello")).await;
    let header = |name: &str| answer.headers()[format!("anthropic-ratelimit-{name}")].to_str().expect("text");
    assert_eq!((header("requests-limit"), header("requests-remaining")), ("1", "0"));
    assert_eq!((header("input-tokens-remaining"), header("output-tokens-limit")), ("96", "50"));
    let reset = header("requests-reset");
    assert!(reset.len() == "2026-01-01T00:00:00Z".len() && reset.ends_with('Z'), "{reset}");
    let (status, error) = world.refusal(&ask("hello")).await;
    assert_eq!((status, &error["type"]), (429, &json!("rate_limit_error")));
}
