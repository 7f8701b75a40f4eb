//! A provider that speaks Anthropic's protocol.

use std::time::Duration;

use holdfast_proto::llm::v1::{self as pb, stream_generate_response::Part};
use holdfast_rpc::status;
use holdfast_simulator::{Config, Faults, Hint, Limits, Of, Script, ScriptCall, Simulator, Step};
use serde_json::json;
use tonic::Code;

use crate::harness::{Harness, PATIENCE, said};

async fn harness(simulator: Config) -> Harness {
    let keys = [("simulated".to_owned(), Limits::default())].into();
    let provider = Simulator::start(&Config { keys, ..simulator }).await.expect("a free port");
    let toml = "[providers.claude]\nkind = \"anthropic\"\nbase_url = \"simulator:/v1\"\n\
                keys = [{ name = \"simulated\", concurrency = 4 }]\n\
                [models.m]\ndeployments = [{ provider = \"claude\", model = \"simulated-model\" }]\n";
    Harness::start(toml.into(), provider).await
}

async fn scripted() -> Harness {
    let harness = harness(Config::default()).await;
    let call = |tool: &str| ScriptCall { tool: tool.into(), arguments: json!({"for": tool, "of": {"x": 1.5}}) };
    let steps = vec![
        Step { text: "I look it up.".into(), calls: vec![call("one"), call("two")] },
        Step { text: "Here it is.".into(), calls: Vec::new() },
    ];
    harness.provider.add_scripts([("s".to_owned(), Script { steps })].into());
    harness
}

fn end(parts: &[pb::StreamGenerateResponse]) -> pb::GenerateResponse {
    match parts.last().and_then(|part| part.part.clone()) {
        Some(Part::End(end)) => end,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_the_same_whole_and_in_parts() {
    let harness = scripted().await;
    let mut whole = harness.say("script:s").await.expect("an answer");
    let (parts, error) = harness.stream("script:s").await;
    assert!(error.is_none(), "{error:?}");
    let mut streamed = end(&parts);
    (whole.timing, streamed.timing) = (None, None);
    assert_eq!(streamed, whole);
    let message = whole.message.clone().expect("a message");
    assert_eq!(message.content, "I look it up.");
    let arguments: Vec<serde_json::Value> =
        message.tool_calls.iter().map(|call| serde_json::from_str(&call.arguments).expect("JSON")).collect();
    assert_eq!(arguments, [json!({"for": "one", "of": {"x": 1.5}}), json!({"for": "two", "of": {"x": 1.5}})]);
    assert_eq!(whole.finish_reason(), pb::FinishReason::ToolCalls);
    let counts = harness.provider.counts().key("simulated");
    let usage = whole.usage.expect("usage");
    assert_eq!((usage.input_tokens * 2, usage.output_tokens * 2), (counts.prompt_tokens, counts.completion_tokens));
}

#[tokio::test]
async fn a_conversation_with_tools_goes_on() {
    let harness = scripted().await;
    let asked = said("script:s");
    let first = harness.ask(asked.clone()).await.expect("an answer").message.expect("a message");
    let results = first.tool_calls.iter().map(|call| pb::Message {
        role: pb::Role::Tool.into(),
        content: "found".into(),
        tool_call_id: call.id.clone(),
        ..Default::default()
    });
    let mut messages = asked.messages.clone();
    messages.push(first.clone());
    messages.extend(results);
    let second = harness.ask(pb::GenerateRequest { messages, ..asked }).await.expect("an answer");
    assert_eq!(second.message.expect("a message").content, "Here it is.");
}

#[tokio::test]
async fn what_the_protocol_has_no_word_for_is_refused_by_its_name_and_never_sent() {
    let harness = harness(Config::default()).await;
    let asked = pb::GenerateRequest { extra: br#"{"n": 2}"#.to_vec().into(), ..said("hi") };
    let refused = harness.ask(asked).await.expect_err("Anthropic gives one answer");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().starts_with("n: "), "{}", refused.message());
    assert_eq!(harness.provider.counts().key("simulated").requests, 0);
}

#[tokio::test]
async fn another_deployment_takes_what_the_protocol_has_no_word_for() {
    let provider = |name: &str, kind: &str| {
        format!(
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"simulator:/v1\"\nkeys = [{{ name = \"simulated\" }}]\n"
        )
    };
    let models = "[models.m]\ndeployments = [{ provider = \"claude\", model = \"simulated-model\" }, \
                  { provider = \"gpt\", model = \"simulated-model\" }]\n";
    let toml = provider("claude", "anthropic") + &provider("gpt", "openai") + models;
    let simulator = crate::harness::provider(&[("simulated", Limits::default())]).await;
    let harness = Harness::start(toml, simulator).await;
    assert_eq!(harness.say("hi").await.expect("an answer").deployment, "claude/simulated-model");
    let asked = pb::GenerateRequest { extra: br#"{"logprobs": true}"#.to_vec().into(), ..said("hi") };
    assert_eq!(harness.ask(asked).await.expect("an answer").deployment, "gpt/simulated-model");
}

#[tokio::test]
async fn a_request_too_long_is_told_apart() {
    let harness = harness(Config { context_tokens: 10, ..Config::default() }).await;
    let refused = harness.say(&"much too long ".repeat(20)).await.expect_err("it does not fit");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains("prompt is too long"), "{}", refused.message());
}

#[tokio::test]
async fn its_reset_headers_say_how_long_a_key_rests() {
    let harness = harness(Config::default()).await;
    let limited = Faults {
        error_rate: 1.0,
        error_status: 429,
        error_retry_after: Some(60),
        hint: Some(Hint::Reset),
        ..Faults::default()
    };
    harness.provider.set_faults(Of::Provider, limited);
    let refused = harness.say_within("hi", PATIENCE).await.expect_err("the key rests");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let wait = status::retry_after(&refused).expect("a wait");
    assert!((Duration::from_secs(50)..=Duration::from_secs(61)).contains(&wait), "{wait:?}");
}

#[tokio::test]
async fn an_overload_is_told_before_and_in_the_middle_of_an_answer() {
    let harness = harness(Config::default()).await;
    let overloaded = Faults { error_rate: 1.0, error_status: 529, times: Some(1), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, overloaded);
    let gone = harness.say("hi").await.expect_err("it is overloaded");
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 3, disconnect_error: true, ..Faults::default() };
    harness.provider.set_faults(Of::Provider, cut);
    let (parts, error) = harness.stream("tell me everything").await;
    assert!(!parts.is_empty());
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
}
