//! A call of a healthy tool, and what is refused before one.

use holdfast_proto::tool::v1::{Effect, ListToolsRequest, Outcome};
use holdfast_rpc::status;
use serde_json::json;
use tonic::{Code, Request};

use crate::harness::{Harness, content, request, tool};
use crate::tool_server::Does;

const SCHEMA: &str = r#"schema = '{"type":"object","properties":{"to":{"type":"object","properties":{"iban":{"type":"string"}},"required":["iban"]}},"required":["to"]}'"#;

#[tokio::test]
async fn a_tools_answer_comes_back_as_it_is() {
    let mesh = Harness::start(|server| {
        let more = "effect = \"read_only\"\nbearer = \"env:CARGO_PKG_NAME\"\nheaders = { x-team = \"a\" }";
        tool("search", &server.url("/search"), more) + &tool("text", &server.url("/text"), "")
    })
    .await;
    mesh.server.on("/search", Does::Answer(200, json!({"found": [1, 2]})));
    mesh.server.on("/text", Does::Typed("text/plain; charset=utf-8", b"as it is\xff"));

    let answer = mesh.call("search", json!({"q": "x"})).await.expect("it answers");
    assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"found": [1, 2]})));
    assert_eq!(answer.timing.map(|timing| timing.attempts), Some(1));

    let hit = mesh.server.hits("/search").remove(0);
    assert_eq!((hit.method.as_str(), hit.json()), ("POST", json!({"q": "x"})));
    assert_eq!((hit.header("authorization"), hit.header("x-team")), ("Bearer holdfast-tool-proxy", "a"));
    assert_eq!(hit.header("idempotency-key"), "", "a read_only tool needs none");

    let answer = mesh.call("text", json!({})).await.expect("it answers");
    assert_eq!(
        (answer.content_type.as_str(), answer.content.as_ref()),
        ("text/plain; charset=utf-8", &b"as it is\xff"[..])
    );
}

#[tokio::test]
async fn the_trace_goes_on_to_the_tool() {
    let mesh = Harness::start(|server| tool("search", &server.url("/search"), "")).await;
    mesh.server.on("/search", Does::Answer(200, json!({})));
    let mut request = Request::new(request("search", &json!({})));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", traceparent.parse().expect("plain ASCII"));
    mesh.send(request).await.expect("it answers");
    assert!(mesh.server.hits("/search")[0].header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));
}

#[tokio::test]
async fn a_get_tool_gets_its_arguments_in_the_query() {
    let mesh = Harness::start(|server| tool("look", &server.url("/look?lang=en"), "method = \"GET\"")).await;
    mesh.server.on("/look", Does::Answer(200, json!({})));
    mesh.call("look", json!({"id": "C 1", "n": [1, 2]})).await.expect("it answers");
    let hit = mesh.server.hits("/look").remove(0);
    assert_eq!((hit.method.as_str(), hit.query.as_str()), ("GET", "lang=en&id=C+1&n=1&n=2"));
    assert!(hit.body.is_empty());
}

#[tokio::test]
async fn a_tools_own_error_is_its_answer_and_no_failure_of_it() {
    let mesh = Harness::start(|server| {
        tool("find", &server.url("/find"), "breaker = { minimum_calls = 2, consecutive_failures = 2 }")
    })
    .await;
    mesh.server.on("/find", Does::Answer(404, json!({"error": "no customer C-7"})));
    for _ in 0..5 {
        let answer = mesh.call("find", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), content(&answer)), (Outcome::ToolError, json!({"error": "no customer C-7"})));
    }
    assert_eq!(mesh.circuit("find").await.failures, 0);
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_by_their_path_and_never_sent() {
    let mesh = Harness::start(|server| {
        format!("[tool_proxy]\narguments_bytes_max = \"1KiB\"\n{}", tool("pay", &server.url("/pay"), SCHEMA))
    })
    .await;
    let cases = [
        (json!({"to": {"iban": 4}}), "arguments/to/iban"),
        (json!({"to": {}}), "arguments/to"),
        (json!({}), "arguments"),
        (json!([]), "arguments"),
        (json!({"to": {"iban": "x".repeat(2000)}}), "arguments"),
    ];
    for (arguments, path) in cases {
        let refused = mesh.call("pay", arguments).await.expect_err("it does not fit");
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(path)));
    }
    let refused = mesh.call("no-such-tool", json!({})).await.expect_err("there is none");
    assert_eq!(refused.code(), Code::NotFound);
    assert!(mesh.server.hits("/pay").is_empty());
}

#[tokio::test]
async fn an_answer_past_the_limit_is_not_taken() {
    let mesh = Harness::start(|server| {
        let more = "effect = \"read_only\"\nmax_response_bytes = \"4KiB\"";
        tool("said", &server.url("/said"), more) + &tool("unsaid", &server.url("/unsaid"), more)
    })
    .await;
    mesh.server.on("/said", Does::Typed("application/json", &[b' '; 5000]));
    mesh.server.on("/unsaid", Does::Chunks(1 << 30));
    for name in ["said", "unsaid"] {
        let answer = mesh.call(name, json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "ANSWER_TOO_LARGE"));
        assert_eq!(mesh.circuit(name).await.failures, 0, "a large answer is no sign of bad health");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mesh = Harness::start(|server| tool("moved", &server.url("/moved"), "effect = \"read_only\"")).await;
    mesh.server.on("/moved", Does::Answer(302, json!({})));
    mesh.server.on("/elsewhere", Does::Answer(200, json!({})));
    let answer = mesh.call("moved", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "HTTP_302"));
    assert!(mesh.server.hits("/elsewhere").is_empty());
}

#[tokio::test]
async fn tools_are_listed_page_by_page_with_their_schemas() {
    let mesh = Harness::start(|server| {
        let more = format!("description = \"Pays.\"\neffect = \"idempotent\"\n{SCHEMA}");
        ["a", "b", "c"].map(|name| tool(name, &server.url("/"), "")).concat() + &tool("pay", &server.url("/"), &more)
    })
    .await;
    let mut client = mesh.tools.clone();
    let mut page = async |names: &[&str], token: &str| {
        let names = names.iter().map(ToString::to_string).collect();
        let request = ListToolsRequest { names, page_size: 3, page_token: token.into() };
        client.list_tools(request).await.expect("it answers").into_inner()
    };
    let first = page(&[], "").await;
    assert_eq!(first.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let second = page(&[], &first.next_page_token).await;
    assert_eq!((second.tools.len(), second.next_page_token.as_str()), (1, ""));
    let pay = page(&["pay"], "").await.tools.remove(0);
    assert_eq!((pay.description.as_str(), pay.effect()), ("Pays.", Effect::Idempotent));
    assert!(
        serde_json::from_slice::<serde_json::Value>(&pay.input_schema)
            .is_ok_and(|schema| schema["required"] == json!(["to"]))
    );
}

#[tokio::test]
async fn only_what_leads_to_the_simulator_is_listed_as_simulated() {
    let mesh =
        Harness::start(|server| tool("inside", "simulator:/tools/echo", "") + &tool("outside", &server.url("/"), ""))
            .await;
    let listed = mesh.tools.clone().list_tools(ListToolsRequest::default()).await.expect("it answers").into_inner();
    let told: Vec<_> = listed.tools.iter().map(|tool| (tool.name.as_str(), tool.simulated)).collect();
    assert_eq!(told, [("inside", true), ("outside", false)]);
}

#[tokio::test]
async fn no_page_of_tools_is_more_than_a_client_takes() {
    let described = format!("description = \"{}\"", "x".repeat(100 << 10));
    let name = |number: usize| format!("t{number:02}");
    let mesh = Harness::start(|server| (0..25).map(|n| tool(&name(n), &server.url("/"), &described)).collect()).await;
    let (mut listed, mut request) = (Vec::new(), ListToolsRequest { page_size: 1_000, ..ListToolsRequest::default() });
    loop {
        let page = mesh.tools.clone().list_tools(request.clone()).await.expect("a message that is taken").into_inner();
        assert!((1..=10).contains(&page.tools.len()), "{} tools of 100 KiB", page.tools.len());
        listed.extend(page.tools.into_iter().map(|tool| tool.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, (0..25).map(name).collect::<Vec<_>>());
}
