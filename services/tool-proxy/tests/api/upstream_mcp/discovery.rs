//! Which tools there are, as servers come, change, go and return.

use holdfast_proto::tool::v1::Outcome;
use serde_json::json;
use tonic::Code;

use super::server::{ERAS, Era, McpServer, described, plain};
use super::{at, tools, until_listed};
use crate::harness::{Harness, tool};
use crate::names::Names;
use crate::tool_server::Does;

#[tokio::test]
async fn every_page_is_read_and_only_what_is_allowed_is_taken() {
    for era in ERAS {
        let all = vec![plain("a"), plain("b"), plain("get_c"), plain("get_d"), plain("get_env")];
        let server = McpServer::start(era, all).await;
        let more = "prefix = \"x.\"\nallow = [\"a\", \"get_*\"]\ndeny = [\"get_env\"]";
        let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
        until_listed(&mesh, |names| names == ["x.a", "x.get_c", "x.get_d"]).await;
        assert_eq!(mesh.call("x.b", json!({})).await.expect_err("it is not taken").code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_change_that_the_server_tells_is_seen_at_once() {
    for era in ERAS {
        let server = McpServer::start(era, vec![plain("old"), plain("kept")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "refresh = \"1h\"")).await;
        mesh.call("far_old", json!({})).await.expect("it answers");
        server.arrived(if era == Era::Stateless { "listening" } else { "initialized" }, 1).await;

        server.change(vec![plain("kept"), plain("new")]);

        until_listed(&mesh, |names| names == ["far_kept", "far_new"]).await;
        mesh.call("far_new", json!({})).await.expect("it answers");
        assert_eq!(mesh.call("far_old", json!({})).await.expect_err("it is gone").code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_change_that_nobody_tells_is_seen_at_the_next_refresh() {
    let server = McpServer::start(Era::Stateless, vec![plain("old")]).await;
    let mesh = Harness::start(|_| at("far", &server.url(), "refresh = \"1s\"")).await;
    until_listed(&mesh, |names| names == ["far_old"]).await;
    server.change_silently(vec![plain("new")]);
    until_listed(&mesh, |names| names == ["far_new"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_hinders_nobody_and_is_found_when_it_comes() {
    for era in ERAS {
        let mut server = McpServer::absent(era, vec![plain("say")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "")).await;

        let refused = mesh.call("far_say", json!({})).await.expect_err("it is not known yet");
        assert_eq!(refused.code(), Code::Unavailable, "{era:?}");
        assert_eq!(mesh.call("other", json!({})).await.expect_err("it is nobody's").code(), Code::NotFound);

        server.come_back().await;
        until_listed(&mesh, |names| names == ["far_say"]).await;
        assert_eq!(mesh.call("far_say", json!({})).await.expect("it answers").outcome(), Outcome::Real);
    }
}

#[tokio::test]
async fn tools_stay_known_while_their_server_is_away_and_serve_again_when_it_is_back() {
    for era in ERAS {
        let mut server = McpServer::start(era, vec![plain("say")]).await;
        let mesh = Harness::start(|_| at("far", &server.url(), "")).await;
        mesh.call("far_say", json!({})).await.expect("it answers");

        server.kill();
        let answer = mesh.call("far_say", json!({})).await.expect("the fallback answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "CONNECT"), "{era:?}");
        assert_eq!(tools(&mesh).await.len(), 1);

        server.come_back().await;
        // The call that finds the session gone makes another and is answered.
        let answer = mesh.call("far_say", json!({"n": 2})).await.expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real, "{era:?}: {}", answer.degraded_reason);
        assert_eq!(server.seen("say").len(), 2, "each call reached it once");
    }
}

#[tokio::test]
async fn what_a_tool_has_answered_is_told_again_when_the_tool_is_gone_described_anew_or_away() {
    let mut server = McpServer::start(Era::Stateless, vec![plain("pay"), plain("say")]).await;
    let mut mesh = Harness::start(|_| at("far", &server.url(), "refresh = \"1h\"")).await;
    let lease = mesh.lease("i-1", 1);
    let first = mesh.step(&lease, 1, "far_pay", json!({"n": 1})).await.expect("it answers");
    assert_eq!((first.outcome(), first.replayed), (Outcome::Real, false));
    server.arrived("listening", 1).await;
    let again = async |mesh: &Harness| {
        let again = mesh.step(&lease, 1, "far_pay", json!({"n": 1})).await.expect("it is recorded");
        assert_eq!((again.content, again.replayed), (first.content.clone(), true));
    };

    server.change(vec![described("pay", json!({"type": "object", "required": ["more"]}))]);
    until_listed(&mesh, |names| names == ["far_pay"]).await;
    again(&mesh).await;
    server.change(vec![plain("say")]);
    until_listed(&mesh, |names| names == ["far_say"]).await;
    again(&mesh).await;
    let other = mesh.step(&lease, 1, "far_pay", json!({"n": 2})).await.expect_err("it is another call");
    assert_eq!(other.code(), Code::AlreadyExists);
    assert_eq!(mesh.step(&lease, 2, "far_pay", json!({})).await.expect_err("it is new").code(), Code::NotFound);

    server.kill();
    mesh.crash().await;
    again(&mesh).await;
    assert_eq!(server.seen("pay").len(), 1);
}

#[tokio::test]
async fn a_server_whose_name_leads_to_a_private_address_is_not_reached_unless_that_is_allowed() {
    let server = McpServer::start(Era::Stateless, vec![plain("say")]).await;
    let url = server.url().replace("127.0.0.1", "inside.example");
    let names = Names::default();
    names.tell("inside.example", &[&["127.0.0.1"]]);
    let mesh = Harness::with_names(names.clone(), |_| at("far", &url, "")).await;
    let refused = mesh.call("far_say", json!({})).await.expect_err("nobody was asked");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(server.seen("list").is_empty());

    let mesh = Harness::with_names(names, |_| at("far", &url, "allow_private = true")).await;
    assert_eq!(mesh.call("far_say", json!({})).await.expect("it answers").outcome(), Outcome::Real);
}

#[tokio::test]
async fn a_servers_tool_stands_in_for_another_only_if_it_has_no_more_effect() {
    let server = McpServer::start(Era::Sessions, vec![plain("say"), plain("send")]).await;
    let instead = |name: &str| {
        format!("effect = \"read_only\"\nattempts = 1\nfallback = [{{ kind = \"tool\", name = {name:?} }}]")
    };
    let mesh = Harness::start(|own| {
        tool("look", &own.url("/look"), &instead("far_say"))
            + &tool("see", &own.url("/look"), &instead("far_send"))
            + &at("far", &server.url(), "tools.say.effect = \"read_only\"")
    })
    .await;
    mesh.server.on("/look", Does::Answer(500, json!({})));
    until_listed(&mesh, |names| names.len() == 4).await;
    assert_eq!(mesh.call("look", json!({})).await.expect("it is stood in for").outcome(), Outcome::Degraded);
    assert_eq!(mesh.call("see", json!({})).await.expect("it is told").outcome(), Outcome::Unavailable);
    assert_eq!((server.seen("say").len(), server.seen("send").len()), (1, 0));
}

#[tokio::test]
async fn one_bad_schema_costs_one_tool() {
    let bad = described("bad", json!({"type": "objekt"}));
    let server = McpServer::start(ERAS[0], vec![bad, plain("good"), plain("also good")]).await;
    let mesh = Harness::start(|_| at("far", &server.url(), "")).await;
    until_listed(&mesh, |names| names == ["far_also_good", "far_good"]).await;
    mesh.call("far_also_good", json!({})).await.expect("its own name is used at the server");
    assert_eq!(server.seen("also good").len(), 1);
}

#[tokio::test]
async fn a_configured_tool_keeps_its_name_and_of_two_servers_the_first_has_it() {
    let first = McpServer::start(ERAS[0], vec![plain("say"), plain("look"), plain("ask")]).await;
    let second = McpServer::start(ERAS[1], vec![plain("say"), plain("see")]).await;
    let mesh = Harness::start(|server| {
        tool("look", &server.url("/look"), "")
            + &at("a", &first.url(), "prefix = \"\"")
            + &at("b", &second.url(), "prefix = \"\"")
    })
    .await;
    until_listed(&mesh, |names| names == ["ask", "look", "say", "see"]).await;
    mesh.call("say", json!({})).await.expect("it answers");
    assert_eq!((first.seen("say").len(), second.seen("say").len()), (1, 0));
    let _ = mesh.call("look", json!({})).await;
    assert_eq!((mesh.server.hits("/look").len(), first.seen("look").len()), (1, 0));
}

#[tokio::test]
async fn a_tool_that_is_described_anew_keeps_its_open_circuit() {
    let server = McpServer::start(Era::Stateless, vec![plain("oops")]).await;
    let more = "effect = \"read_only\"\nattempts = 1\nbreaker.consecutive_failures = 1\nbreaker.open = \"1h\"\nbreaker.open_max = \"1h\"";
    let mesh = Harness::start(|_| at("far", &server.url(), more)).await;
    mesh.call("far_oops", json!({})).await.expect("the fallback answers");
    server.arrived("listening", 1).await;

    server.change(vec![described("oops", json!({"type": "object", "required": ["a"]}))]);
    until_listed_with(&mesh, "\"required\"").await;

    let answer = mesh.call("far_oops", json!({"a": 1})).await.expect("the fallback answers");
    assert_eq!(answer.degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(server.seen("oops").len(), 1);
}

async fn until_listed_with(mesh: &Harness, text: &str) {
    let waiting = async {
        while !tools(mesh).await.iter().any(|tool| format!("{tool:?}").replace('\\', "").contains(text)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("the description changes");
}
