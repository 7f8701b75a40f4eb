//! A provider of another protocol, heard in OpenAI's shape.

use holdfast_simulator::{Config, Limits, Script, ScriptCall, Simulator, Step};
use serde_json::{Value, json};

use super::client::{asked, told};
use crate::harness::Harness;

/// A conversation with two tools in its first step, before a model of Anthropic's.
async fn scripted() -> Harness {
    let keys = [("simulated".to_owned(), Limits::default())].into();
    let provider = Simulator::start(&Config { keys, ..Config::default() }).await.expect("a free port");
    let call = |tool: &str| ScriptCall { tool: tool.into(), arguments: json!({"for": tool, "of": {"x": 1.5}}) };
    let steps = vec![
        Step { text: "I look it up.".into(), calls: vec![call("one"), call("two")] },
        Step { text: "Here it is.".into(), calls: Vec::new() },
    ];
    provider.add_scripts([("s".to_owned(), Script { steps })].into());
    let toml = "[providers.claude]\nkind = \"anthropic\"\nbase_url = \"simulator:/v1\"\n\
                keys = [{ name = \"simulated\", concurrency = 4 }]\n\
                [models.m]\ndeployments = [{ provider = \"claude\", model = \"simulated-model\" }]\n";
    Harness::start(toml.into(), provider).await
}

fn tools() -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    json!([tool("one"), tool("two")])
}

/// The message that the events of a stream make, as every client puts it together.
fn put_together(events: &[Value]) -> Value {
    let (mut text, mut calls) = (String::new(), Vec::<Value>::new());
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        text.push_str(delta["content"].as_str().unwrap_or_default());
        for part in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = part["index"].as_u64().expect("a number") as usize;
            if calls.len() == index {
                let name = &part["function"]["name"];
                calls
                    .push(json!({"id": part["id"], "type": part["type"], "function": {"name": name, "arguments": ""}}));
            }
            let arguments = &mut calls[index]["function"]["arguments"];
            let more = part["function"]["arguments"].as_str().unwrap_or_default();
            *arguments = (arguments.as_str().expect("text").to_owned() + more).into();
        }
    }
    json!({"role": "assistant", "content": text, "refusal": null, "tool_calls": calls})
}

#[tokio::test]
async fn an_answer_is_the_same_whole_and_as_a_stream() {
    let harness = scripted().await;
    let whole = harness.chat("script:s", json!({"tools": tools()})).await;
    assert_eq!(whole.header("holdfast-deployment"), Some("claude/simulated-model"));
    let whole = whole.json();
    let choice = &whole["choices"][0];
    assert_eq!((&whole["model"], &choice["finish_reason"]), (&json!("m"), &json!("tool_calls")));
    assert_eq!(choice["message"]["content"], "I look it up.");

    let more = json!({"tools": tools(), "stream": true, "stream_options": {"include_usage": true}});
    let events = harness.chat("script:s", more).await.events();
    let [.., finish, usage, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!(put_together(&events), choice["message"]);
    assert_eq!((&finish["choices"][0]["finish_reason"], done), (&json!("tool_calls"), &json!("[DONE]")));
    assert_eq!(usage["usage"], whole["usage"]);
    let ids: Vec<_> = events[..events.len() - 1].iter().map(|event| &event["id"]).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "one answer has one id: {ids:?}");
}

#[tokio::test]
async fn what_tools_said_reaches_it_in_its_own_words() {
    let harness = scripted().await;
    let mut body = asked("script:s", json!({"tools": tools()}));
    let message = told(harness.post(&body)).await.json()["choices"][0]["message"].clone();
    let results = message["tool_calls"].as_array().expect("calls").iter();
    let results: Vec<_> =
        results.map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "{}"})).collect();
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(message);
    messages.extend(results);
    let answer = told(harness.post(&body)).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Here it is.", "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn what_it_has_no_word_for_is_named() {
    let harness = scripted().await;
    let refused = harness.chat("hi", json!({"logit_bias": {"50256": -100}, "n": 2})).await;
    let (status, error) = refused.error();
    assert_eq!((status, &error[0]), (400, &json!("invalid_request_error")));
    assert!([json!("n"), json!("logit_bias")].contains(&error[1]), "{error}");
}
