//! What is asked reaches the provider as it was said, and what it answers comes as it said it.

use holdfast_proto::llm::v1::GetCapacityRequest;
use holdfast_simulator::{Faults, Of};
use serde_json::{Value, json};

use super::client::{asked, told};
use crate::harness::{Harness, allowed, model, one_key, provider};

/// A model that is nowhere, and answers by its fallback.
pub(super) fn gone() -> String {
    let nowhere =
        "[providers.sim]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nkeys = [{ name = \"k\" }]\n";
    format!(
        "{nowhere}[models.m]\ndeployments = [{{ provider = \"sim\", model = \"x\" }}]\nfallback = {{ answer = \"Later.\" }}\n"
    )
}

#[tokio::test]
async fn a_provider_of_the_same_protocol_is_heard_in_its_own_words() {
    let harness = Harness::plain().await;
    let answer = harness.chat("tell me", json!({})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let body = answer.json();
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("simulated-model")));
    assert!(body["choices"][0]["message"]["content"].as_str().expect("text").contains("tell me"), "{body}");
    let key = harness.provider.counts().key("simulated");
    assert_eq!(body["usage"]["total_tokens"], json!(key.prompt_tokens + key.completion_tokens));
    assert_eq!(answer.header("holdfast-deployment"), Some("sim/simulated-model"));
    assert!(answer.header("holdfast-waited-ms").expect("it is told").parse::<u64>().is_ok());
    assert_eq!(answer.header("holdfast-degraded"), None);
}

#[tokio::test]
async fn what_nobody_here_knows_reaches_the_provider_byte_for_byte() {
    let harness = Harness::plain().await;
    let message = r#"[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:,"}}]}]"#;
    let fields = [
        ("messages", message),
        ("temperature", "0.70"),
        ("seed", "12345678901234567890123"),
        (
            "response_format",
            r#"{"type":"json_schema", "json_schema":{"name":"n","schema":{"type":"object"},"strict":true}}"#,
        ),
        ("x_new", r#"{"b" : 1,   "a":[ ]}"#),
    ];
    let said = fields.map(|(name, text)| format!("\"{name}\":{text}")).join(",");
    let body = format!("{{\"model\":\"m\",\"stream\":false,\"max_completion_tokens\":50,{said}}}");
    assert_eq!(told(harness.post_text(&body)).await.status, 200);
    let received = harness.provider.last_request("simulated");
    let text = std::str::from_utf8(&received).expect("text");
    for (name, said) in fields {
        assert!(text.contains(&format!("\"{name}\":{said}")), "{name} is not as it was: {text}");
    }
    let received: Value = serde_json::from_slice(&received).expect("JSON");
    assert_eq!((&received["model"], &received["max_tokens"]), (&json!("simulated-model"), &json!(50)));
    assert_eq!(received.get("stream"), None);
}

#[tokio::test]
async fn tools_go_to_the_model_and_their_results_too() {
    let harness = Harness::plain().await;
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([tool("lookup_customer"), tool("lookup_payment")]);
    let mut body = asked(r#"{"customer_id": "C-1001"}"#, json!({"tools": tools}));
    let answer = told(harness.post(&body)).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let message = answer["choices"][0]["message"].clone();
    let calls = message["tool_calls"].as_array().expect("calls").clone();
    assert_eq!(
        calls.iter().map(|call| &call["function"]["name"]).collect::<Vec<_>>(),
        ["lookup_customer", "lookup_payment"]
    );
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(message);
    messages.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "{}"})));
    let answer = told(harness.post(&body)).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
}

#[tokio::test]
async fn a_models_fallback_answers_in_openais_shape_and_says_that_it_is_one() {
    let harness = Harness::start(gone(), provider(&[]).await).await;
    let answer = harness.chat("hi", json!({})).await;
    assert_eq!((answer.status, answer.header("holdfast-degraded")), (200, Some("true")));
    assert_eq!(answer.header("holdfast-deployment"), None);
    let body = answer.json();
    assert!(body["id"].as_str().expect("an id").starts_with("chatcmpl-"), "{body}");
    assert_eq!((&body["model"], &body["choices"][0]["finish_reason"]), (&json!("m"), &json!("stop")));
    let message = json!({"role": "assistant", "content": "Later.", "refusal": null});
    assert_eq!(body["choices"][0]["message"], message);
}

#[tokio::test]
async fn the_models_are_those_of_the_configuration() {
    let toml =
        one_key("concurrency = 2") + "[models.\"org/large\"]\ndeployments = [{ provider = \"sim\", model = \"x\" }]\n";
    let harness = Harness::start(toml, provider(&[]).await).await;
    let list = told(harness.get("/v1/models")).await.json();
    assert_eq!(list["object"], "list");
    let names: Vec<_> = list["data"].as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert_eq!(names, ["m", "org/large"]);
    for (path, name) in
        [("/v1/models/m", "m"), ("/v1/models/org/large", "org/large"), ("/v1/models/org%2Flarge", "org/large")]
    {
        let one = told(harness.get(path)).await.json();
        assert_eq!(
            (&one["id"], &one["object"], &one["owned_by"]),
            (&json!(name), &json!("model"), &json!("simulated"))
        );
        assert!(one["created"].as_u64().expect("seconds") > 1_600_000_000);
    }
}

#[tokio::test]
async fn a_call_is_named_by_its_callers_trace() {
    let harness = Harness::plain().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = harness.post(&asked("hi", json!({})));
    let answer = told(request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await;
    assert_eq!(answer.header("x-request-id"), Some(trace));
    let refused = told(harness.post_text("{}").header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await;
    assert_eq!((refused.status, refused.header("x-request-id")), (400, Some(trace)));
    let of_its_own = harness.chat("hi", json!({})).await;
    assert_eq!(of_its_own.header("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn the_urgent_go_first() {
    let simulator = provider(&[("simulated", allowed(None, Some(1), 60_000))]).await;
    simulator.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let harness = Harness::start(model("{ name = \"simulated\", concurrency = 1 }", ""), simulator).await;
    let send = |mark: &str, priority: &str| {
        let more = json!({"metadata": {"mark": mark}});
        tokio::spawn(told(harness.post(&asked("hi", more)).header("holdfast-priority", priority)))
    };
    let hanging = send("hanging", "0");
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    let calm = send("calm", "-5");
    in_line(&harness, 1).await;
    let urgent = send("urgent", "5");
    in_line(&harness, 2).await;
    hanging.abort();
    for call in [calm, urgent] {
        assert_eq!(call.await.expect("it ends").status, 200);
    }
    let order: Vec<_> = harness.provider.calls("simulated").into_iter().map(|call| call.mark).collect();
    assert_eq!(order, ["hanging", "urgent", "calm"]);
}

/// Waits until so many calls stand in line.
async fn in_line(harness: &Harness, wanted: u64) {
    loop {
        let capacity = harness.client.clone().get_capacity(GetCapacityRequest::default()).await.expect("it is told");
        let lines = capacity.into_inner().providers.into_iter().flat_map(|provider| provider.lines);
        if lines.map(|line| line.waiting).sum::<u64>() == wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
}
