//! Tools that are for some agents only.

use holdfast_proto::tool::v1::{
    Circuit, CircuitMode, CircuitState, ListCircuitsRequest, ListToolsRequest, Outcome, SetCircuitRequest,
    WatchCircuitsRequest,
};
use holdfast_rpc::{client, status};
use serde_json::json;
use tonic::{Code, Request};

use crate::harness::{Harness, request, tool};
use crate::tool_server::Does;

async fn mesh() -> Harness {
    let mesh = Harness::start(|server| {
        let of = |agents: &str| format!("effect = \"read_only\"\n{agents}");
        tool("everybody", &server.url("/"), &of(""))
            + &tool("desk_only", &server.url("/"), &of("agents = [\"desk\"]"))
            + &tool("nobody", &server.url("/"), &of("agents = []"))
    })
    .await;
    mesh.server.on("/", Does::Answer(200, json!({})));
    mesh
}

#[tokio::test]
async fn an_agent_uses_only_the_tools_that_are_for_it() {
    let mesh = mesh().await;
    let (desk, mail) = (mesh.lease_of("desk", "one", 10), mesh.lease_of("mail", "two", 10));
    let unnamed = mesh.lease_of("", "three", 10);
    let cases = [
        (&desk, "everybody", true),
        (&desk, "desk_only", true),
        (&desk, "nobody", false),
        (&mail, "everybody", true),
        (&mail, "desk_only", false),
        (&unnamed, "everybody", true),
        (&unnamed, "desk_only", false),
    ];
    for (step, (lease, name, may)) in (1..).zip(cases) {
        let sent = mesh.server.hits("/").len();
        match mesh.step(lease, step, name, json!({})).await {
            Ok(answer) => assert!(may && answer.outcome() == Outcome::Real, "{name} is not for this agent"),
            Err(refused) => {
                assert!(!may, "{refused:?}");
                assert_eq!(refused.code(), Code::PermissionDenied);
                assert!(refused.message().contains(name), "{}", refused.message());
                assert_eq!(mesh.server.hits("/").len(), sent, "nothing was sent");
            }
        }
    }
    let refused = mesh.step(&mail, 9, "desk_only", json!({})).await.expect_err("it is not for it");
    assert!(refused.message().contains("\"mail\""), "the agent is named: {}", refused.message());
    assert!(mesh.record("two", "9.0").await.is_none(), "nothing is recorded of it");
}

#[tokio::test]
async fn who_looks_after_the_tools_uses_them_all_and_a_caller_without_work_only_what_is_everybodys() {
    let mesh = mesh().await;
    for name in ["everybody", "desk_only", "nobody"] {
        mesh.call(name, json!({})).await.expect("the mesh itself may");
    }
    let mut caller = Request::new(request("desk_only", &json!({})));
    caller.metadata_mut().insert("holdfast-role", "caller".parse().expect("plain ASCII"));
    let refused = mesh.send(client::for_tenant(caller, "acme").expect("plain")).await.expect_err("it is no agent");
    assert_eq!(
        (refused.code(), status::reason(&refused).as_deref()),
        (Code::PermissionDenied, Some("PERMISSION_DENIED"))
    );
}

#[tokio::test]
async fn a_worker_is_shown_what_its_agent_may_use() {
    let mesh = mesh().await;
    let names = async |request: Request<ListToolsRequest>| {
        let page = mesh.tools.clone().list_tools(request).await.expect("it answers").into_inner();
        page.tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>()
    };
    let under = |lease: &str| client::with_lease(Request::new(ListToolsRequest::default()), lease).expect("plain");
    assert_eq!(names(under(&mesh.lease_of("desk", "one", 10))).await, ["desk_only", "everybody"]);
    assert_eq!(names(under(&mesh.lease_of("mail", "two", 10))).await, ["everybody"]);
    assert_eq!(names(Request::new(ListToolsRequest::default())).await, ["desk_only", "everybody", "nobody"]);
    let mut worker = Request::new(ListToolsRequest::default());
    worker.metadata_mut().insert("holdfast-role", "worker".parse().expect("plain ASCII"));
    assert_eq!(names(worker).await, ["everybody"], "without a lease nobody knows whose work it does");
}

#[tokio::test]
async fn an_agent_sees_the_circuits_of_its_own_tools_and_nothing_that_operators_said() {
    let mesh = mesh().await;
    for name in ["everybody", "desk_only"] {
        let (mode, reason) = (CircuitMode::Open.into(), "it loses the orders of acme".into());
        let word = SetCircuitRequest { name: name.into(), mode, reason };
        mesh.tools.clone().set_circuit(word).await.expect("the mesh may");
    }
    let all = async |lease: Option<&str>| {
        let request = Request::new(ListCircuitsRequest {});
        let request = match lease {
            Some(lease) => client::with_lease(request, lease).expect("plain"),
            None => request,
        };
        mesh.tools.clone().list_circuits(request).await.expect("it answers").into_inner().circuits
    };
    let names = |circuits: &[Circuit]| circuits.iter().map(|circuit| circuit.name.clone()).collect::<Vec<_>>();
    let seen = all(None).await;
    assert_eq!(names(&seen).len(), 4, "the mesh sees all, and their host: {seen:?}");
    assert_eq!(seen.iter().filter(|circuit| circuit.reason.contains("acme")).count(), 2);

    let (desk, mail) = (mesh.lease_of("desk", "one", 10), mesh.lease_of("mail", "two", 10));
    assert_eq!(names(&all(Some(&desk)).await), ["desk_only", "everybody"]);
    let seen = all(Some(&mail)).await;
    assert_eq!(names(&seen), ["everybody"]);
    assert_eq!((seen[0].state(), seen[0].mode()), (CircuitState::Open, CircuitMode::Open));
    let told = format!("{}{}{}", seen[0].reason, seen[0].set_by, seen[0].set_reason);
    assert_eq!(told, "opened by hand", "who and why is between operators");

    let request = client::with_lease(Request::new(WatchCircuitsRequest {}), &mail).expect("plain");
    let mut news = mesh.tools.clone().watch_circuits(request).await.expect("it answers").into_inner();
    for name in ["desk_only", "everybody"] {
        let word = SetCircuitRequest { name: name.into(), mode: CircuitMode::Auto.into(), reason: "acme".into() };
        mesh.tools.clone().set_circuit(word).await.expect("the mesh may");
    }
    for mode in [CircuitMode::Open, CircuitMode::Auto] {
        let circuit = news.message().await.expect("no error").and_then(|news| news.circuit).expect("more");
        assert_eq!((circuit.name.as_str(), circuit.mode()), ("everybody", mode));
        assert!(circuit.set_by.is_empty() && circuit.set_reason.is_empty() && !circuit.reason.contains("acme"));
    }
}

#[tokio::test]
async fn a_fallback_is_no_way_around_a_permission() {
    let mesh = Harness::start(|server| {
        let more = "effect = \"read_only\"\nattempts = 1\nfallback = [{ kind = \"tool\", name = \"secret\" }]";
        tool("open", "http://127.0.0.1:1/", more)
            + &tool("secret", &server.url("/"), "effect = \"read_only\"\nagents = [\"desk\"]")
    })
    .await;
    mesh.server.on("/", Does::Answer(200, json!({})));
    let (desk, mail) = (mesh.lease_of("desk", "one", 10), mesh.lease_of("mail", "two", 10));
    let answer = mesh.step(&mail, 1, "open", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), mesh.server.hits("/").len()), (Outcome::Unavailable, 0));
    let answer = mesh.step(&desk, 1, "open", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.fallback_tool.as_str()), (Outcome::Degraded, "secret"));
}
