//! Listing, calling, failing and cancelling.

use rmcp::model::{CallToolRequest, ClientRequest, ErrorCode, PaginatedRequestParams};
use rmcp::service::{PeerRequestOptions, ServiceError};
use serde_json::{Value, json};

use super::client::{ERAS, Era, answer, call, connect, refusal, told};
use super::hanging::Hanging;
use crate::harness::{Harness, tool};
use crate::tool_server::Does;

const SCHEMA: &str = r#"schema = '{"type":"object","properties":{"to":{"type":"string"}},"required":["to"]}'"#;

#[tokio::test]
async fn a_client_of_either_era_lists_the_tools_and_calls_one() {
    let mesh = Harness::start(|server| {
        let pay = format!("description = \"Pays.\"\neffect = \"idempotent\"\n{SCHEMA}");
        tool("look", &server.url("/look"), "effect = \"read_only\"")
            + &tool("pay", &server.url("/pay"), &pay)
            + &tool("send", &server.url("/send"), "")
    })
    .await;
    mesh.server.on("/pay", Does::Answer(200, json!({"paid": true})));
    for era in ERAS {
        let client = connect(&mesh.url(), era).await;
        let info = client.peer_info().expect("it has introduced itself");
        assert_eq!(info.server_info.as_ref().map(|info| info.name.as_str()), Some("holdfast"), "{era:?}");

        let tools = client.list_all_tools().await.expect("it answers");
        assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["look", "pay", "send"]);
        let hints = |index: usize| {
            let hints = tools[index].annotations.as_ref().expect("every tool has some");
            (hints.read_only_hint, hints.is_destructive(), hints.is_idempotent())
        };
        assert_eq!(hints(0), (Some(true), false, true), "read_only");
        assert_eq!(hints(1), (Some(false), true, true), "idempotent");
        assert_eq!(hints(2), (Some(false), true, false), "effectful");
        assert_eq!(tools[1].description.as_deref(), Some("Pays."));
        assert_eq!(tools[1].input_schema["required"], json!(["to"]));

        let result = answer(&client, call("pay", json!({"to": "C-7"}), Value::Null)).await;
        assert_eq!((result.structured_content.clone(), result.is_error), (Some(json!({"paid": true})), Some(false)));
        assert_eq!(told(&result, "holdfast/outcome"), "real");
        assert_eq!(told(&result, "holdfast/timing")["attempts"], 1);
    }
    assert_eq!(mesh.server.hits("/pay")[1].json(), json!({"to": "C-7"}));
}

#[tokio::test]
async fn many_tools_are_listed_page_by_page() {
    let names: Vec<String> = (0..150).map(|number| format!("tool-{number:03}")).collect();
    let mesh = Harness::start(|server| names.iter().map(|name| tool(name, &server.url("/"), "")).collect()).await;
    let client = connect(&mesh.url(), Era::Current).await;
    let first = client.list_tools(None).await.expect("it answers");
    assert_eq!((first.tools.len(), first.next_cursor.is_some()), (100, true));
    let all = client.list_all_tools().await.expect("it answers");
    assert_eq!(all.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>(), names);
    let wrong = PaginatedRequestParams::default().with_cursor(Some("!".into()));
    match client.list_tools(Some(wrong)).await.expect_err("no cursor of ours") {
        ServiceError::McpError(error) => {
            assert_eq!(
                (error.code, &error.data.expect("data")["field"]),
                (ErrorCode::INVALID_PARAMS, &json!("cursor"))
            );
        }
        other => panic!("another error: {other}"),
    }
}

#[tokio::test]
async fn what_went_wrong_is_said_so_that_the_model_can_tell() {
    let mesh = Harness::start(|server| {
        let fixed = "effect = \"read_only\"\nfallback = [{ kind = \"fixed\", answer = { rate = 1 } }]";
        tool("find", &server.url("/find"), "effect = \"read_only\"")
            + &tool("gone", &server.url("/gone"), "effect = \"read_only\"")
            + &tool("rate", &server.url("/gone"), fixed)
            + &tool("send", &server.url("/gone"), "")
    })
    .await;
    mesh.server.on("/find", Does::Answer(404, json!({"error": "no customer C-7"})));
    mesh.server.on("/gone", Does::Break);
    let client = connect(&mesh.url(), Era::Current).await;

    let result = answer(&client, call("find", json!({}), Value::Null)).await;
    assert_eq!((result.is_error, told(&result, "holdfast/outcome")), (Some(true), &json!("tool_error")));
    assert_eq!(result.structured_content, Some(json!({"error": "no customer C-7"})));

    let result = answer(&client, call("gone", json!({}), Value::Null)).await;
    assert_eq!((result.is_error, told(&result, "holdfast/outcome")), (Some(true), &json!("unavailable")));
    assert_eq!(result.structured_content.expect("an object")["advice"], "A");

    let result = answer(&client, call("rate", json!({}), Value::Null)).await;
    assert_eq!((result.is_error, told(&result, "holdfast/outcome")), (Some(false), &json!("degraded")));
    assert_eq!(told(&result, "holdfast/reason"), "BROKEN");
    assert_eq!(result.structured_content, Some(json!({"rate": 1})));
    let note = result.content[1].as_text().expect("the model is told");
    assert!(note.text.contains("stands in"), "{}", note.text);

    let result = answer(&client, call("send", json!({}), Value::Null)).await;
    assert_eq!((result.is_error, told(&result, "holdfast/outcome")), (Some(true), &json!("unknown")));
}

#[tokio::test]
async fn bad_arguments_are_invalid_params_by_their_field_and_never_sent() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), SCHEMA)).await;
    for era in ERAS {
        let client = connect(&mesh.url(), era).await;
        for (params, field) in [
            (call("pay", json!({"to": 4}), Value::Null), json!("arguments/to")),
            (call("pay", json!({}), Value::Null), json!("arguments")),
            (call("pay", json!({"to": "a"}), json!({"holdfast/step": "x"})), json!("_meta/holdfast/step")),
            (call("no-such-tool", json!({}), Value::Null), Value::Null),
        ] {
            let error = refusal(&client, params).await;
            assert_eq!(error.code, ErrorCode::INVALID_PARAMS, "{era:?}: {error:?}");
            assert_eq!(error.data.expect("data")["field"], field);
        }
    }
    assert!(mesh.server.hits("/pay").is_empty());
}

#[tokio::test]
async fn a_key_in_meta_makes_a_repeat_the_same_call() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), "")).await;
    mesh.server.on("/pay", Does::Answer(200, json!({"paid": true})));
    let client = connect(&mesh.url(), Era::Current).await;
    let keyed = || call("pay", json!({"amount": 5}), json!({"holdfast/idempotencyKey": "order-7"}));
    let first = answer(&client, keyed()).await;
    let again = answer(&client, keyed()).await;
    assert_eq!((told(&first, "holdfast/replayed"), told(&again, "holdfast/replayed")), (&json!(false), &json!(true)));
    assert_eq!(first.structured_content, again.structured_content);
    assert_eq!(mesh.server.hits("/pay").len(), 1);
    let other =
        refusal(&client, call("pay", json!({"amount": 6}), json!({"holdfast/idempotencyKey": "order-7"}))).await;
    assert_eq!(other.data.expect("data")["reason"], "ALREADY_EXISTS");
}

#[tokio::test]
async fn a_cancelled_call_ends_at_the_tool() {
    let hanging = Hanging::start().await;
    let mesh = Harness::start(|_| tool("hang", &hanging.url(), "effect = \"read_only\"\ntimeout = \"60s\"")).await;
    for (count, era) in ERAS.into_iter().enumerate() {
        let client = connect(&mesh.url(), era).await;
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(call("hang", json!({}), Value::Null)));
        let under_way =
            client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.expect("it is sent");
        hanging.arrived(count + 1).await;
        under_way.cancel(Some("no longer wanted".into())).await.expect("it is told");
        hanging.gone(count + 1).await;
    }
}

#[tokio::test]
async fn the_trace_that_a_message_names_goes_on_to_the_tool() {
    let mesh = Harness::start(|server| tool("look", &server.url("/look"), "effect = \"read_only\"")).await;
    mesh.server.on("/look", Does::Answer(200, json!({})));
    let client = connect(&mesh.url(), Era::Older).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    answer(&client, call("look", json!({}), json!({"traceparent": traceparent}))).await;
    assert!(mesh.server.hits("/look")[0].header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));
}
