//! Answers as they come.

use std::time::Duration;

use holdfast_config::Span;
use holdfast_proto::llm::v1::{self as pb, llm_service_client::LlmServiceClient, stream_generate_response::Part};
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Limits, Of, Running, Script, ScriptCall, Step};
use serde_json::json;
use tonic::Code;

use crate::{
    harness::{Harness, PATIENCE, said},
    stub::{self, Stub},
};

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
async fn what_an_answer_says_of_its_failure_before_it_says_anything_else_is_not_seen() {
    let well = stub::role() + &stub::text("Well.") + &stub::end();
    let limited = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    let ill = r#"{"error":{"message":"oh","type":"server_error","code":null}}"#;
    let beginnings = [
        stub::event(limited),
        stub::role() + &stub::event(ill),
        stub::role(),
        stub::event("[DONE]"),
        String::new(),
        "data: <html>\n\n".to_owned(),
    ];
    for beginning in beginnings {
        let provider = Stub::start(vec![beginning.clone(), well.clone()]).await;
        let harness = Harness::start(provider.toml() + "fallback = { answer = \"none\" }\n", simulator().await).await;
        // The budget of repeats is earned.
        for _ in 0..10 {
            provider.insert(well.clone());
            harness.stream_within("hi", PATIENCE).await;
        }
        let (parts, error) = harness.stream_within("hi", PATIENCE).await;
        assert!(error.is_none(), "{beginning:?}: {error:?}");
        assert_eq!(text(&parts), "Well.", "{beginning:?}");
        let attempts = end(&parts).and_then(|end| end.timing).map(|timing| timing.attempts);
        assert_eq!(attempts, Some(2), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_limit_in_the_middle_of_an_answer_ends_it_with_the_time_to_come_back_and_its_key_rests() {
    let limited = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    let well = stub::text("Well.") + &stub::end();
    let provider = Stub::start(vec![stub::text("I think ") + &stub::event(limited), well]).await;
    let harness = Harness::start(provider.toml(), simulator().await).await;
    let (parts, error) = harness.stream_within("hi", PATIENCE).await;
    let error = error.expect("it broke off");
    assert_eq!((error.code(), status::reason(&error).as_deref()), (Code::Unavailable, Some("PROVIDER_LIMITED")));
    assert!(status::retry_after(&error).is_some() && status::may_have_happened(&error));
    assert_eq!(text(&parts), "I think ");
    let capacity = harness.client.clone().get_capacity(pb::GetCapacityRequest::default()).await.expect("an answer");
    let keys = capacity.into_inner().providers.into_iter().find(|it| it.provider == "stub").expect("it is there").keys;
    assert_eq!(keys.iter().filter(|key| key.health() == pb::KeyHealth::Resting).count(), 1);
    let (parts, error) = harness.stream_within("hi", PATIENCE).await;
    assert!(error.is_none() && text(&parts) == "Well.", "the other key answers: {error:?}");
}

#[tokio::test]
async fn an_answer_that_says_it_failed_ends_there_and_says_nothing_twice() {
    let harness = Harness::plain().await;
    let cut = Faults { disconnect_rate: 1.0, disconnect_after: 4, disconnect_error: true, ..Faults::default() };
    harness.provider.set_faults(Of::Provider, cut);
    let (parts, error) = harness.stream_within("tell me everything", PATIENCE).await;
    let error = error.expect("it broke off");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(!text(&parts).is_empty() && end(&parts).is_none());
    assert_eq!(harness.provider.counts().key("simulated").requests, 1);
}

#[tokio::test]
async fn a_provider_on_this_machine_is_told_the_trace_and_another_one_only_where_that_is_wanted() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    for (setting, told) in [("", true), ("trace = false\n", false)] {
        let provider = Stub::start(vec![stub::text("Well.") + &stub::end()]).await;
        let toml = provider.toml().replace("[models.m]", &format!("{setting}[models.m]"));
        let harness = Harness::start(toml, simulator().await).await;
        let mut request = tonic::Request::new(pb::StreamGenerateRequest { request: Some(said("hi")) });
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01").parse().expect("ASCII");
        request.metadata_mut().insert("traceparent", traceparent);
        let stream = harness.client.clone().stream_generate(request).await.expect("it begins").into_inner();
        assert!(last(stream).await.expect("it is whole"));
        let traces = provider.headers("traceparent");
        assert_eq!(traces.len(), 1);
        assert_eq!(traces[0].as_deref().is_some_and(|trace| trace.contains(TRACE)), told, "{traces:?}");
    }
}

#[tokio::test]
async fn the_deadline_ends_an_answer_in_the_middle_here_and_at_the_provider() {
    let harness = Harness::plain().await;
    harness.say("hi").await.expect("an answer");
    let slow = Faults { per_token: Span::from_millis(100), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, slow);
    let (parts, error) = harness.stream_within("tell me output_tokens:1000", Duration::from_millis(1_500)).await;
    assert_eq!(error.map(|error| error.code()), Some(Code::DeadlineExceeded));
    assert!(!text(&parts).is_empty(), "it had begun");
    let ended = harness.provider.until(|counts| counts.key("simulated").broken_off == 1);
    tokio::time::timeout(PATIENCE, ended).await.expect("the provider is told");
}

/// A client whose connection holds little, so that what its reader leaves unread is soon too much.
async fn narrow(harness: &Harness) -> LlmServiceClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", harness.address)).expect("a URL");
    let channel = endpoint.initial_stream_window_size(1 << 16).initial_connection_window_size(1 << 16).connect().await;
    LlmServiceClient::new(channel.expect("it is there"))
}

/// More text than fits between provider and reader.
const LONG: &str = "tell me output_tokens:100000";

async fn begun(harness: &Harness) -> tonic::Streaming<pb::StreamGenerateResponse> {
    let request = pb::StreamGenerateRequest { request: Some(said(LONG)) };
    let mut stream = narrow(harness).await.stream_generate(request).await.expect("it begins").into_inner();
    stream.message().await.expect("it goes on").expect("it has no end yet");
    stream
}

async fn last(mut stream: tonic::Streaming<pb::StreamGenerateResponse>) -> Result<bool, tonic::Status> {
    let mut whole = false;
    while let Some(part) = stream.message().await? {
        whole = matches!(part.part, Some(Part::End(_)));
    }
    Ok(whole)
}

#[tokio::test]
async fn a_reader_that_stands_still_is_ended_and_its_place_is_free_again() {
    let toml = format!("[llm_proxy]\nstall_max = \"300ms\"\n{}", crate::harness::one_key("concurrency = 1"));
    let harness = Harness::start(toml, simulator().await).await;
    let stream = begun(&harness).await;
    harness.say_within("hi", PATIENCE).await.expect("the key's only place is free again");
    assert_eq!(harness.provider.counts().key("simulated").broken_off, 1, "nobody reads it any more");
    let error = last(stream).await.expect_err("it is not whole");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
    assert!(error.message().contains("stall_max"), "{error:?}");
}

#[tokio::test]
async fn a_reader_that_stands_still_is_not_the_providers_silence() {
    let toml = crate::harness::model("{ name = \"simulated\", concurrency = 2 }", "idle_timeout = \"200ms\"");
    let harness = Harness::start(toml, simulator().await).await;
    let stream = begun(&harness).await;
    harness.provider.set_faults(Of::Provider, Faults { latency: Span::from_millis(800), ..Faults::default() });
    harness.say_within("hi", PATIENCE).await.expect("this takes longer than the provider may be silent");
    assert!(last(stream).await.expect("it is whole"));
}

#[tokio::test]
async fn a_reader_that_stands_still_past_its_deadline_holds_nothing_at_the_provider() {
    let harness = Harness::start(crate::harness::one_key("concurrency = 1"), simulator().await).await;
    let mut request = tonic::Request::new(pb::StreamGenerateRequest { request: Some(said(LONG)) });
    request.set_timeout(Duration::from_secs(1));
    let mut stream = narrow(&harness).await.stream_generate(request).await.expect("it begins").into_inner();
    stream.message().await.expect("it goes on").expect("it has no end yet");
    let ended = harness.provider.until(|counts| counts.key("simulated").broken_off == 1);
    tokio::time::timeout(PATIENCE, ended).await.expect("the provider is told at the deadline");
}

async fn simulator() -> Running {
    crate::harness::provider(&[("simulated", Limits::default())]).await
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_answer_at_the_provider() {
    let harness = Harness::plain().await;
    let slow = Faults { per_token: Span::from_secs(60), ..Faults::default() };
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
    let slow = Faults { per_token: Span::from_secs(60), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, slow);
    let (parts, error) = harness.stream("hi").await;
    assert!(parts.is_empty());
    assert_eq!(error.map(|error| error.code()), Some(Code::Unavailable));
}
