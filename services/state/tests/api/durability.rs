use holdfast_config::{Document, Size};
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::service::Settings as _;
use holdfast_state::Config;

use crate::harness::*;

#[tokio::test]
async fn a_durable_write_is_seen_by_nobody_before_it_is_stored() {
    let state = Harness::in_files().await;
    let first = state.make("k", "1").await;
    state.gate.hold();
    let write = state.put(put("k", "2", Some(&first)));
    let look = async {
        state.gate.arrival().await;
        assert_eq!(data(&state.get("k").await.unwrap()), "1");
        state.gate.open();
    };
    let (written, ()) = tokio::join!(write, look);
    assert_eq!(written.unwrap().durability(), pb::Durability::Durable);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");
}

#[tokio::test]
async fn a_cached_write_is_answered_at_once_and_stored_behind() {
    let state = Harness::in_files().await;
    let mut at = state.put(cached(put("k", "0", None))).await.unwrap().version;
    state.gate.hold();
    for n in 1..=20 {
        let written = state.put(cached(put("k", &n.to_string(), Some(&at)))).await.unwrap();
        assert_eq!(written.durability(), pb::Durability::Cached);
        at = written.version;
    }
    state.gate.open();
    let state = state.restart().await;
    let record = state.get("k").await.unwrap();
    assert_eq!((data(&record).as_str(), record.revision), ("20", 21));
    assert_eq!(record.version, at, "a clean restart keeps the epoch");
}

#[tokio::test]
async fn past_the_window_cached_writes_wait_for_the_store() {
    let mut config = Config::default();
    config.cached.writes_max = 3;
    let state = Harness::in_files_with(config).await;
    let mut at = state.put(cached(put("k", "0", None))).await.unwrap().version;
    state.gate.hold();
    for n in 1..=3 {
        at = state.put(cached(put("k", &n.to_string(), Some(&at)))).await.unwrap().version;
    }
    let late = state.put(cached(put("k", "4", Some(&at))));
    let release = async {
        state.gate.arrival().await;
        assert_eq!(data(&state.get("k").await.unwrap()), "3", "what waits is not visible");
        state.gate.open();
    };
    let (late, ()) = tokio::join!(late, release);
    assert_eq!(late.unwrap().durability(), pb::Durability::Durable);
}

#[tokio::test]
async fn a_namespace_may_be_cached_by_default() {
    let document = Document::parse("t", "[state.namespaces.accounts]\ndurability = \"cached\"\n", []).unwrap();
    let state = Harness::in_files_with(Config::from_document(&document).unwrap()).await;
    let first = state.put(put("k", "1", None)).await.unwrap();
    let second = state.put(put("k", "2", Some(&first.version))).await.unwrap();
    assert_eq!(second.durability(), pb::Durability::Cached);
    let asked = pb::PutRequest { durability: pb::Durability::Durable.into(), ..put("k", "3", Some(&second.version)) };
    assert_eq!(state.put(asked).await.unwrap().durability(), pb::Durability::Durable);
}

#[tokio::test]
async fn records_beyond_the_cache_are_read_from_the_store() {
    let config = Config { cache: Size::from_kib(64), ..Config::default() };
    let state = Harness::with(config).await;
    let large = "x".repeat(4_096);
    for n in 0..20 {
        state.make(&n.to_string(), &format!("{n}{large}")).await;
    }
    for n in 0..20 {
        assert_eq!(data(&state.get(&n.to_string()).await.unwrap()), format!("{n}{large}"));
    }
    let addresses = (0..20).map(|n| address(&n.to_string())).chain([address("absent")]).collect();
    let request = tonic::Request::new(pb::BatchGetRequest { addresses, ..Default::default() });
    let request = holdfast_rpc::client::for_tenant(request, "acme").unwrap();
    let records = state.client.clone().batch_get(request).await.unwrap().into_inner().records;
    let keys: Vec<_> = records.iter().map(|record| record.address.as_ref().unwrap().key.clone()).collect();
    assert_eq!(keys, (0..20).map(|n| n.to_string()).collect::<Vec<_>>(), "in the order of the request");
}
