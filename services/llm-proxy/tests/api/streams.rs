//! Answers as they come.

use holdfast_proto::llm::v1::{self as pb, stream_generate_response::Part};
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Of, Script, ScriptCall, Step};
use serde_json::json;
use tonic::Code;

use crate::harness::{Harness, PATIENCE, said};

fn text(parts: &[pb::StreamGenerateResponse]) -> String {
    parts
        .iter()
        .filter_map(|part| if let Some(Part::Text(text)) = &part.part { Some(text.as_str()) } else { None })
        .collect()
}

fn end(parts: &[pb::StreamGenerateResponse]) -> Option<&pb::GenerateResponse> {
    match parts.last()?.part.as_ref()? {
        Part::End(end) => Some(end),
        _ => None,
    }
}

async fn scripted() -> Harness {
    let harness = Harness::plain().await;
    let call =
        |tool: &str| ScriptCall { tool: tool.into(), arguments: json!({"for": tool, "with": "a long argument"}) };
    let step = Step { text: "I look it up.".into(), calls: vec![call("one"), call("two")] };
    harness.provider.add_scripts([("s".to_owned(), Script { steps: vec![step] })].into());
    harness
}

#[tokio::test]
async fn the_parts_are_the_whole_answer() {
    let harness = scripted().await;
    let mut whole = harness.say("script:s").await.expect("an answer");
    let (parts, error) = harness.stream("script:s").await;
    assert!(error.is_none(), "{error:?}");
    let mut streamed = end(&parts).expect("an end").clone();
    (whole.timing, streamed.timing) = (None, None);
    assert_eq!(streamed, whole);
    let message = whole.message.expect("a message");
    assert_eq!(text(&parts), message.content);
    let mut calls = vec![pb::ToolCall::default(); message.tool_calls.len()];
    for part in &parts {
        if let Some(Part::ToolCall(part)) = &part.part {
            let call = &mut calls[part.index as usize];
            call.id.push_str(&part.id);
            call.name.push_str(&part.name);
            call.arguments.push_str(&part.arguments);
        }
    }
    assert_eq!(calls, message.tool_calls);
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_that_it_is_not_whole_and_nothing_twice() {
    let harness = Harness::plain().await;
    let whole = harness.say("tell me everything").await.expect("an answer").message.expect("a message").content;
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 4, ..Faults::default() };
    harness.provider.set_faults(Of::Provider, cut);
    let (parts, error) = harness.stream("tell me everything").await;
    let error = error.expect("it broke off");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("the text ends here"), "{}", error.message());
    assert!(status::retry_after(&error).is_some() && status::may_have_happened(&error));
    assert!(end(&parts).is_none());
    let said = text(&parts);
    assert!(!said.is_empty() && whole.starts_with(&said), "{said:?}");
    assert_eq!(harness.provider.counts().key("simulated").requests, 2, "it was not asked again");
}

#[tokio::test]
async fn what_fails_before_the_first_part_is_not_seen() {
    let harness = Harness::start(
        crate::harness::model("{ name = \"a\", concurrency = 4 }, { name = \"b\", concurrency = 4 }", ""),
        crate::harness::provider(&[("a", Default::default()), ("b", Default::default())]).await,
    )
    .await;
    for _ in 0..10 {
        harness.say("hi").await.expect("an answer");
    }
    // One piece is the role alone: no part of the answer.
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 1, times: Some(1), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, cut);
    let (parts, error) = harness.stream("hi").await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(end(&parts).and_then(|end| end.timing).map(|timing| timing.attempts), Some(2));
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_answer_at_the_provider() {
    let harness = Harness::plain().await;
    let slow = Faults { per_token: holdfast_config::Span::from_secs(60), ..Faults::default() };
    let request = pb::StreamGenerateRequest { request: Some(said("hi")) };
    harness.provider.set_faults(Of::Provider, slow);
    let mut client = harness.client.clone();
    let reading = tokio::spawn(async move { client.stream_generate(request).await });
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    reading.abort();
    let ended = harness.provider.until(|counts| counts.key("simulated").broken_off == 1);
    tokio::time::timeout(PATIENCE, ended).await.expect("the provider is told");
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended() {
    let toml = crate::harness::model("{ name = \"simulated\", concurrency = 4 }", "idle_timeout = \"200ms\"");
    let harness = Harness::start(toml, crate::harness::provider(&[("simulated", Default::default())]).await).await;
    let slow = Faults { per_token: holdfast_config::Span::from_secs(60), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, slow);
    let (parts, error) = harness.stream("hi").await;
    assert!(parts.is_empty());
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
}
