//! A tool that hangs: its callers get the fallback once the breaker is open, and the other tools' calls never wait.

use holdfast_proto::tool::v1::{CircuitState, ListCircuitsRequest, Outcome};
use holdfast_tests::tool_hang::{call, calls_at, mesh, opened};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_tool_costs_its_callers_a_fallback_and_nobody_else_anything() {
    let mesh = mesh().start().await;
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let mut tools = mesh.tools();
        callers.spawn(async move { call(&mut tools, "hangs").await });
    }
    let mut tools = mesh.tools();
    for _ in 0..20 {
        // It has no line: a call that had to wait for a place would get the fallback.
        assert_eq!(call(&mut tools, "good").await.outcome(), Outcome::Real);
    }
    opened(&mesh).await;
    for answer in callers.join_all().await {
        assert_eq!(answer.outcome(), Outcome::Degraded, "{answer:?}");
    }

    let before = calls_at(&mesh, "hangs").await;
    for _ in 0..20 {
        let answer = call(&mut tools, "hangs").await;
        assert_eq!((answer.outcome(), &*answer.degraded_reason), (Outcome::Degraded, "CIRCUIT_OPEN"));
        assert_eq!(answer.content, br#"{"stand":"in"}"#.to_vec());
    }
    assert_eq!(calls_at(&mesh, "hangs").await, before, "an open breaker sends nothing");
    let circuits = tools.list_circuits(ListCircuitsRequest {}).await.unwrap().into_inner().circuits;
    let open: Vec<_> = circuits.iter().filter(|circuit| circuit.state() == CircuitState::Open).collect();
    assert_eq!(open.len(), 1, "{circuits:?}");
}
