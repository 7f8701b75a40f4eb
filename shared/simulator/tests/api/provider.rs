use std::time::Duration;

use futures::{StreamExt, future::join_all};
use holdfast_config::Span;
use holdfast_simulator::{CallEnd, Config, Faults, Limits, Of, Script, Step};
use serde_json::{Value, json};

use crate::{World, said};

fn limited(limits: Limits) -> Config {
    Config { keys: [("simulated".to_owned(), limits)].into(), ..Config::default() }
}

/// The data of each event in a stream.
fn events(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[tokio::test]
async fn an_unknown_key_is_a_stranger() {
    let world = World::start(Config::default()).await;
    let response = world.chat("stolen", &said("hi")).send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    assert_eq!(world.simulator.counts().strangers, 1);
}

#[tokio::test]
async fn past_its_limit_a_key_is_told_when_to_come_back() {
    let world = World::start(limited(Limits { requests_per_minute: Some(3), ..Limits::default() })).await;
    let answers = join_all((0..5).map(|_| world.ask("hi"))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 429).collect();
    assert_eq!(refused.len(), 2);
    let seconds: u64 = refused[0].headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&seconds));
    assert_eq!(world.simulator.counts().refused(), 2);
    assert_eq!(world.simulator.counts().key("simulated").in_window_max, 3);
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place() {
    let world = World::start(limited(Limits { concurrency: Some(1), ..Limits::default() })).await;
    world.simulator.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let hanging = tokio::spawn(world.chat("simulated", &said("hi")).send());
    world.simulator.until(|counts| counts.key("simulated").in_flight == 1).await;
    assert_eq!(world.ask("hi").await.status(), 429);
    hanging.abort();
    world.simulator.until(|counts| counts.key("simulated").broken_off == 1).await;
    assert_eq!(world.ask("hi").await.status(), 200);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let world = World::start(Config::default()).await;
    let whole: Value = world.ask("tell me everything").await.json().await.expect("JSON");
    assert_eq!(whole["system_fingerprint"], "simulated");
    let mut body = said("tell me everything");
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let text = world.chat("simulated", &body).send().await.expect("an answer").text().await.expect("text");
    let events = events(&text);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let pieces: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    let said: String = pieces.iter().filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], said);
    assert_eq!(pieces.last().expect("usage")["usage"], whole["usage"]);
}

#[tokio::test]
async fn a_cut_stream_has_a_beginning_and_no_end() {
    let world = World::start(Config::default()).await;
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 3, ..Faults::default() };
    world.simulator.set_faults(Of::Provider, cut);
    let mut body = said("tell me everything");
    body["stream"] = true.into();
    let mut chunks = world.chat("simulated", &body).send().await.expect("an answer").bytes_stream();
    let (mut text, mut broke) = (String::new(), false);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).expect("text")),
            Err(_) => broke = true,
        }
    }
    assert!(broke);
    assert_eq!(events(&text).len(), 3);
    assert_eq!(world.simulator.counts().key("simulated").broken_off, 1);
}

#[tokio::test]
async fn a_script_goes_by_the_conversation_alone() {
    let world = World::start(Config::default()).await;
    let step = |text: &str| Step { text: text.into(), ..Step::default() };
    let script = Script { steps: vec![step("one"), step("two")] };
    world.simulator.add_scripts([("case-7".to_owned(), script)].into());
    let mut body = said("do it, script:case-7");
    let ask = async |body: &Value| -> Value {
        world.chat("simulated", body).send().await.expect("an answer").json().await.expect("JSON")
    };
    let first = ask(&body).await;
    assert_eq!(first, ask(&body).await, "the same conversation gets the same answer");
    assert_eq!(first["choices"][0]["message"]["content"], "one");
    body["messages"].as_array_mut().expect("a list").push(first["choices"][0]["message"].clone());
    assert_eq!(ask(&body).await["choices"][0]["message"]["content"], "two");
}

#[tokio::test]
async fn faults_of_one_key_are_its_own() {
    let mut config = Config::default();
    config.keys.insert("other".into(), Limits::default());
    let world = World::start(config).await;
    let fault = Faults { error_rate: 1.0, error_status: 429, error_retry_after: Some(7), ..Faults::default() };
    world.simulator.set_faults(Of::Key("other"), fault);
    let response = world.chat("other", &said("hi")).send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().expect("text")), (429, "7"));
    assert_eq!(world.ask("hi").await.status(), 200);
    assert_eq!(world.simulator.counts().refused(), 0, "a fault is not a passed limit");
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let world = World::start(Config { context_tokens: 10, ..Config::default() }).await;
    let long = world.ask(&"word ".repeat(50)).await;
    assert_eq!(long.status(), 400);
    let error = long.json::<Value>().await.expect("JSON")["error"].take();
    assert_eq!(error["code"], "context_length_exceeded");
    let message = "This model's maximum context length is 10 tokens. However, your messages resulted in 63 tokens. \
                   Please reduce the length of the messages.";
    assert_eq!(error["message"], message);
    let mut unknown = said("hi");
    unknown["model"] = "gpt-99".into();
    assert_eq!(world.chat("simulated", &unknown).send().await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn tokens_take_the_time_that_they_are_told_to() {
    let world = World::start(Config::default()).await;
    let slow = Faults { per_token: Span::from_millis(1), latency: Span::from_millis(5), ..Faults::default() };
    world.simulator.set_faults(Of::Provider, slow);
    let started = std::time::Instant::now();
    let answer: Value = world.ask("hi").await.json().await.expect("JSON");
    let tokens = answer["usage"]["completion_tokens"].as_u64().expect("a count");
    assert!(started.elapsed() >= Duration::from_millis(5 + tokens));
}

#[tokio::test]
async fn an_answer_is_as_long_as_it_was_asked_to_be() {
    let world = World::start(Config::default()).await;
    let mut body = said("write");
    body["metadata"] = json!({"output_tokens": 300, "input_tokens": "77", "mark": "m-1"});
    let answer = async |body: &Value| -> Value {
        world.chat("simulated", body).send().await.expect("an answer").json().await.expect("JSON")
    };
    let usage = answer(&body).await["usage"].take();
    assert_eq!(usage, json!({"prompt_tokens": 77, "completion_tokens": 300, "total_tokens": 377}));
    body["max_tokens"] = 64.into();
    let cut = answer(&body).await;
    assert_eq!(
        (&cut["usage"]["completion_tokens"], &cut["choices"][0]["finish_reason"]),
        (&json!(64), &json!("length"))
    );
    let calls = world.simulator.calls("simulated");
    assert_eq!((calls[0].mark.as_str(), calls[0].input_tokens, calls[0].output_tokens), ("m-1", 77, 300));
}

#[tokio::test]
async fn azure_names_the_model_in_the_path_and_the_key_in_another_header() {
    let world = World::start(Config::default()).await;
    let path = "/openai/deployments/simulated-model/chat/completions";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let ask = async |query: &str, key: &str| {
        let request = world.post(&format!("{path}{query}")).header("api-key", key).json(&body);
        request.send().await.expect("an answer")
    };
    let answer: Value = ask("?api-version=2024-10-21", "simulated").await.json().await.expect("JSON");
    assert_eq!(answer["model"], "simulated-model");
    assert_eq!(ask("?api-version=2024-10-21", "stolen").await.status(), 401);
    assert_eq!(ask("", "simulated").await.status(), 400);
}

#[tokio::test]
async fn a_stream_may_say_that_it_breaks_off() {
    let world = World::start(Config::default()).await;
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 2, disconnect_error: true, ..Faults::default() };
    world.simulator.set_faults(Of::Provider, cut);
    let mut body = said("tell me everything");
    body["stream"] = true.into();
    let text = world.chat("simulated", &body).send().await.expect("an answer").text().await.expect("it ends well");
    let events = events(&text);
    assert_eq!(events.len(), 3);
    assert!(events[2].starts_with(r#"{"error""#), "{events:?}");
}

#[tokio::test]
async fn the_time_at_which_a_caller_goes_away_is_noted() {
    let world = World::start(Config::default()).await;
    let slow = Faults { per_token: Span::from_secs(60), ..Faults::default() };
    world.simulator.set_faults(Of::Provider, slow);
    let mut body = said("tell me everything");
    body["stream"] = true.into();
    let mut answer = world.chat("simulated", &body).send().await.expect("an answer");
    answer.chunk().await.expect("the first event").expect("there is one");
    let before = world.simulator.clock_us();
    drop(answer);
    world.simulator.until(|counts| counts.key("simulated").broken_off == 1).await;
    let call = world.simulator.calls("simulated").remove(0);
    assert_eq!(call.end, CallEnd::BrokenOff);
    assert!((before..=world.simulator.clock_us()).contains(&call.ended_us.expect("it has ended")));
}

#[tokio::test]
async fn the_last_request_is_kept_as_it_came() {
    let world = World::start(Config::default()).await;
    let text = r#"{"model":"simulated-model","messages":[],"n":1.50,"x":{"b":1,"a":2}}"#;
    let request = world.post("/v1/chat/completions").bearer_auth("simulated").body(text);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    assert_eq!(world.simulator.last_request("simulated"), text);
}
