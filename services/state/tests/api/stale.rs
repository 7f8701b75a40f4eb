use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{client::for_tenant, status};
use tonic::{Code, Request, Response, Status};

use crate::harness::*;

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn get_stale(state: &Harness, key: &str, max: i64) -> Result<pb::GetResponse, Status> {
    let get = pb::GetRequest { address: Some(address(key)), max_staleness: seconds(max), ..Default::default() };
    state.client.clone().get(for_tenant(Request::new(get), "acme")?).await.map(Response::into_inner)
}

async fn batch_stale(state: &Harness, keys: &[&str], max: i64) -> Result<pb::BatchGetResponse, Status> {
    let addresses = keys.iter().map(|key| address(key)).collect();
    let get = pb::BatchGetRequest { addresses, max_staleness: seconds(max) };
    state.client.clone().batch_get(for_tenant(Request::new(get), "acme")?).await.map(Response::into_inner)
}

#[tokio::test]
async fn an_answer_from_memory_says_how_old_it_is() {
    let state = Harness::start().await;
    state.make("k", "1").await;
    let first = get_stale(&state, "k", 60).await.unwrap();
    assert_eq!((data(&first.record.unwrap()).as_str(), first.staleness), ("1", None), "what was just read is current");
    let again = get_stale(&state, "k", 60).await.unwrap();
    assert_eq!(data(&again.record.unwrap()), "1");
    assert!(again.staleness.is_some_and(|age| age.seconds < 60), "{:?}", again.staleness);
    let current = get_stale(&state, "k", 0).await.unwrap();
    assert_eq!((data(&current.record.unwrap()).as_str(), current.staleness), ("1", None), "no staleness is none");
}

#[tokio::test]
async fn who_wrote_reads_that_write_also_where_staleness_is_allowed() {
    let state = Harness::start().await;
    let mut at = state.make("k", "0").await;
    for n in 1..20 {
        get_stale(&state, "k", 60).await.unwrap();
        at = state.put(put("k", &n.to_string(), Some(&at))).await.unwrap().version.into();
        assert_eq!(data(&get_stale(&state, "k", 60).await.unwrap().record.unwrap()), n.to_string());
    }
    let gone = pb::DeleteRequest { address: Some(address("k")), precondition: version(&at), ..Default::default() };
    state.delete(gone).await.unwrap();
    assert_eq!(get_stale(&state, "k", 60).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_batch_says_the_age_of_its_oldest_answer() {
    let state = Harness::start().await;
    for key in ["a", "b"] {
        state.make(key, key).await;
    }
    assert_eq!(batch_stale(&state, &["a"], 60).await.unwrap().staleness, None);
    let both = batch_stale(&state, &["a", "absent", "b"], 60).await.unwrap();
    assert_eq!(both.records.iter().map(data).collect::<Vec<_>>(), ["a", "b"]);
    assert!(both.staleness.is_some(), "one of them came from memory");
}

#[tokio::test]
async fn what_is_known_well_enough_is_its_tenants() {
    let state = Harness::start().await;
    state.make("k", "1").await;
    get_stale(&state, "k", 60).await.unwrap();
    let get = pb::GetRequest { address: Some(address("k")), max_staleness: seconds(60), ..Default::default() };
    let foreign = for_tenant(Request::new(get), "other").unwrap();
    assert_eq!(state.client.clone().get(foreign).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_negative_staleness_is_refused() {
    let state = Harness::start().await;
    state.make("k", "1").await;
    for refused in [get_stale(&state, "k", -1).await.unwrap_err(), batch_stale(&state, &["k"], -1).await.unwrap_err()] {
        assert_eq!(
            (refused.code(), status::field(&refused).as_deref()),
            (Code::InvalidArgument, Some("max_staleness"))
        );
    }
}
