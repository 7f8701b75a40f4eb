//! One call of a tool, with a server of either era.

use std::time::Duration;

use holdfast_proto::tool::v1::{CircuitState as State, Outcome};
use rmcp::model::ToolAnnotations;
use serde_json::json;
use tonic::{Code, Request};

use super::server::{ERAS, McpServer, described, hinted, plain};
use super::{at, tools};
use crate::harness::{Harness, content, request};

#[tokio::test]
async fn a_tool_is_found_and_called_whatever_the_servers_era() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("say"), plain("structured"), plain("sorry")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "breaker.consecutive_failures = 1")).await;

        let answer = mesh.call("far_say", json!({"a": 1})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.content_type.as_str()), (Outcome::Real, "text/plain; charset=utf-8"));
        assert_eq!(answer.content.as_ref(), br#"you said {"a":1}"#, "{era:?}");
        assert_eq!(answer.timing.map(|timing| timing.attempts), Some(1));

        let answer = mesh.call("far_structured", json!({"t": [1, null]})).await.expect("it answers");
        assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"t": [1, null]})));

        let answer = mesh.call("far_sorry", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.content.as_ref()), (Outcome::ToolError, &b"no such city"[..]));
        assert_eq!(mesh.circuit("far_sorry").await.state(), State::Closed, "a tool that says no is in health");
    }
}

#[tokio::test]
async fn the_trace_goes_on_in_the_meta_of_a_call() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("say")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "effect = \"idempotent\"")).await;
        let mut request = Request::new(request("far_say", &json!({})));
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.metadata_mut().insert("traceparent", traceparent.parse().expect("plain ASCII"));
        mesh.send(request).await.expect("it answers");
        let meta = server.seen("say").remove(0).meta;
        assert!(meta["traceparent"].as_str().is_some_and(|trace| trace.contains("0af7651916cd43dd8448eb211c80319c")));
        assert!(meta["holdfast/idempotency-key"].is_string(), "{meta}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_servers_schema_do_not_reach_it() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let server = McpServer::start(ERAS[0], vec![described("count", schema)]).await;
    let mesh = Harness::start(|_| at("far", &server.url(), "")).await;
    let refused = mesh.call("far_count", json!({"n": "many"})).await.expect_err("it does not fit");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(server.seen("count").is_empty());
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_at_the_server() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("hang")]).await;
        let more = "timeout = \"300ms\"\nconnect_timeout = \"200ms\"\neffect = \"read_only\"\nattempts = 1";
        let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
        let answer = mesh.call("far_hang", json!({})).await.expect("the fallback answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "TIMEOUT"), "{era:?}");
        server.arrived("cancelled", 1).await;
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_cancels_the_call_at_the_server() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("hang")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "timeout = \"60s\"")).await;
        tokio::select! {
            answer = mesh.call("far_hang", json!({})) => panic!("it answered: {answer:?}"),
            () = server.arrived("hang", 1) => {}
        }
        tokio::time::timeout(Duration::from_secs(10), server.arrived("cancelled", 1)).await.expect("it is told");
    }
}

#[tokio::test]
async fn an_answer_past_the_limit_is_not_taken() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("big")]).await;
        let more = "max_response_bytes = \"64KiB\"\neffect = \"read_only\"\nattempts = 3";
        let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
        let answer = mesh.call("far_big", json!({})).await.expect("the fallback answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "ANSWER_TOO_LARGE"));
        assert_eq!(server.seen("big").len(), 1, "it would be as large again");
    }
}

#[tokio::test]
async fn a_server_that_failed_is_asked_again_only_where_that_does_no_harm() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("oops")]).await;
        let more = "attempts = 2\n[mcp.far.tools.oops]\neffect = \"read_only\"\n[tool_proxy]\nretry_percent = 100";
        let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
        let answer = mesh.call("far_oops", json!({})).await.expect("the fallback answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "MCP_-32603"));
        assert_eq!(server.seen("oops").len(), 2);

        let server = McpServer::start(era, vec![plain("oops")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "")).await;
        let answer = mesh.call("far_oops", json!({})).await.expect("it is told");
        assert_eq!(answer.outcome(), Outcome::Unknown, "it may have had its effect");
        assert_eq!(server.seen("oops").len(), 1);
    }
}

#[tokio::test]
async fn what_a_server_says_of_its_tools_counts_only_where_it_is_trusted() {
    use holdfast_proto::tool::v1::Effect;
    let hints = || {
        let read_only = ToolAnnotations::new().read_only(true);
        vec![hinted("look", read_only), hinted("set", ToolAnnotations::new().idempotent(true)), plain("send")]
    };
    let effects = async |more: &str| {
        let server = McpServer::start(ERAS[0], hints()).await;
        let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
        super::until_listed(&mesh, |names| names.len() == 3).await;
        tools(&mesh).await.iter().map(holdfast_proto::tool::v1::Tool::effect).collect::<Vec<_>>()
    };
    assert_eq!(effects("").await, [Effect::Effectful; 3]);
    let trusted = effects("trust_annotations = true").await;
    assert_eq!(trusted, [Effect::ReadOnly, Effect::Effectful, Effect::Idempotent], "look, send, set");
    let said = effects("trust_annotations = true\n[mcp.far.tools.look]\neffect = \"effectful\"").await;
    assert_eq!(said, [Effect::Effectful, Effect::Effectful, Effect::Idempotent], "the operator's word is above");
}
