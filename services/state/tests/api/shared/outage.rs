use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use holdfast_testkit::{Fault, FaultProxy, Postgres as Server};
use tonic::{Code, Status};

use super::Several;
use crate::harness::*;

const CLIENTS: usize = 8;
const EACH: usize = 40;

/// Waits as it is told to.
async fn come_back(refused: &Status) {
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let wait = status::retry_after(refused).expect("it says when");
    assert!(wait <= Duration::from_secs(5), "{wait:?}");
    tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
}

/// One write, repeated until it is answered: a conflict would be with itself.
async fn insist(processes: &[Harness], turn: usize, write: &pb::PutRequest) -> pb::PutResponse {
    for n in turn.. {
        match processes[n % processes.len()].put(write.clone()).await {
            Ok(written) => return written,
            Err(refused) => come_back(&refused).await,
        }
    }
    unreachable!("it never gives up")
}

/// A client with a record of its own.
async fn fill(state: &[Harness], client: usize, half: &tokio::sync::Barrier) {
    let key = format!("client-{client}");
    let id = |n: usize| (client * 1_000 + n + 1) as u128;
    let mut at = insist(state, client, &with_id(put(&key, "0", None), id(0))).await.version;
    for n in 1..EACH {
        if n == EACH / 2 {
            half.wait().await;
        }
        let written = insist(state, client + n, &with_id(put(&key, &n.to_string(), Some(&at)), id(n))).await;
        assert_eq!(written.revision, n as u64 + 1, "each is taken once");
        at = written.version;
    }
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_the_database_is_killed_under_load() {
    let Several { processes, mut server } = Several::start(2).await;
    let half = tokio::sync::Barrier::new(CLIENTS + 1);
    let clients = join_all((0..CLIENTS).map(|client| fill(&processes, client, &half)));
    let killer = async {
        half.wait().await;
        // In the middle of what they do then.
        server.restart().await;
    };
    tokio::join!(clients, killer);
    for client in 0..CLIENTS {
        let record = processes[client % 2].get(&format!("client-{client}")).await.unwrap();
        assert_eq!((data(&record), record.revision), ((EACH - 1).to_string(), EACH as u64));
    }
}

#[tokio::test]
async fn while_the_database_is_gone_callers_are_told_when_to_come_back() {
    let mut state = Several::start(1).await;
    let at = state.turn(0).make("k", "1").await;
    state.server.kill().await;
    for n in 0..20 {
        let refused = state.turn(0).put(put("k", "2", Some(&at))).await.unwrap_err();
        assert_come_back(&refused);
        assert!(n == 0 || !status::may_have_happened(&refused), "an open breaker asks nobody: {refused:?}");
        assert_come_back(&state.turn(0).get("k").await.unwrap_err());
    }
    state.server.restart().await;
    loop {
        match state.turn(0).get("k").await {
            Ok(record) => break assert_eq!(data(&record), "1"),
            Err(refused) => come_back(&refused).await,
        }
    }
    let write = with_id(put("k", "2", Some(&at)), 2);
    assert_eq!(insist(&state.processes, 0, &write).await.revision, 2, "it heals by itself");
}

#[tokio::test]
async fn a_database_that_says_nothing_is_left_alone_until_it_speaks() {
    let server = Server::start().await;
    let proxy = FaultProxy::to(([127, 0, 0, 1], server.port()).into()).await;
    let url = format!("postgres://holdfast@{}/postgres", proxy.address());
    let state = [Harness::on(Home::at(&url), holdfast_state::Config::default()).await];
    let at = state[0].make("k", "1").await;
    proxy.set(Fault::Stall);
    for refused in join_all((0..4).map(|n| state[0].put(put(&n.to_string(), "1", None)))).await {
        let refused = refused.unwrap_err();
        assert_come_back(&refused);
        assert!(status::may_have_happened(&refused), "it was asked, and nobody knows");
    }
    let refused = state[0].put(put("k", "2", Some(&at))).await.unwrap_err();
    assert_come_back(&refused);
    assert!(!status::may_have_happened(&refused), "it was not asked: {refused:?}");
    proxy.set(Fault::None);
    assert_eq!(insist(&state, 0, &with_id(put("k", "2", Some(&at)), 2)).await.revision, 2);
}

#[tokio::test]
async fn a_read_only_database_refuses_writes_serves_reads_and_heals_alone() {
    let state = Several::start(1).await;
    let one = state.turn(0);
    let at = one.make("k", "1").await;
    let set = async |on: &str| {
        state.server.query(&format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await;
        state.server.query("SELECT pg_reload_conf()").await;
    };
    set("on").await;
    // Sessions hear of it a little later.
    let mut n = 0;
    let refused = loop {
        n += 1;
        match one.put(put(&n.to_string(), "1", None)).await {
            Ok(_) => {}
            Err(refused) => break refused,
        }
    };
    assert_come_back(&refused);
    assert!(!status::may_have_happened(&refused));
    for _ in 0..5 {
        assert_come_back(&one.put(put("k", "2", Some(&at))).await.unwrap_err());
        assert_eq!(data(&one.get("k").await.unwrap()), "1");
    }
    let list = pb::ListRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    assert_eq!(one.list(list).await.unwrap().records.len(), n);
    set("off").await;
    assert_eq!(insist(&state.processes, 0, &put("k", "2", Some(&at))).await.revision, 2);
}
