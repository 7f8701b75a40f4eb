use holdfast_config::Document;
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{client::for_tenant, service::Settings as _, status, time};
use holdfast_state::{Config, expiry};
use pb::batch_put_request::Write;
use tonic::{Code, Request};

use crate::harness::*;

const MICROS: i64 = 1_000_000;

fn secs(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// How long a record lives from its write on, in seconds.
fn life(record: &pb::Record) -> Option<i64> {
    let written = time::micros(record.writer.as_ref()?.time.as_ref()?)?;
    let expires = time::micros(record.expire_time.as_ref()?)?;
    Some((expires - written) / MICROS)
}

#[tokio::test]
async fn a_record_says_when_it_expires() {
    let state = Harness::start().await;
    state.put(pb::PutRequest { ttl: secs(60), ..put("k", "1", None) }).await.unwrap();
    let record = state.get("k").await.unwrap();
    assert_eq!(life(&record), Some(60));
    state.put(put("k", "2", Some(&record.version))).await.unwrap();
    assert_eq!(life(&state.get("k").await.unwrap()), None, "a write without one lifts it");
}

#[tokio::test]
async fn a_namespace_says_how_long_its_records_live() {
    let document = Document::parse("t", "[state.namespaces.accounts]\nttl = \"1h\"\n", []).unwrap();
    let state = Harness::with(Config::from_document(&document).unwrap()).await;
    state.make("k", "1").await;
    assert_eq!(life(&state.get("k").await.unwrap()), Some(3_600));
    state.put(pb::PutRequest { ttl: secs(5), ..put("own", "1", None) }).await.unwrap();
    assert_eq!(life(&state.get("own").await.unwrap()), Some(5), "a write's own word counts");
}

#[tokio::test]
async fn each_write_of_a_batch_has_a_life_of_its_own() {
    let state = Harness::start().await;
    let write = |key: &str, ttl| Write { key: key.into(), value: Some(value("1")), ttl, ..Write::default() };
    let batch = pb::BatchPutRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        writes: vec![write("short", secs(30)), write("long", None)],
        ..pb::BatchPutRequest::default()
    };
    state.batch(batch.clone()).await.unwrap();
    assert_eq!(life(&state.get("short").await.unwrap()), Some(30));
    assert_eq!(life(&state.get("long").await.unwrap()), None);

    let deletion = Write { key: "short".into(), precondition: overwrite(), ttl: secs(30), ..Write::default() };
    let refused = state.batch(pb::BatchPutRequest { writes: vec![deletion], ..batch }).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("writes[0].ttl"));
}

#[tokio::test]
async fn a_life_is_between_a_second_and_ten_years() {
    let state = Harness::start().await;
    let ten_years = 10 * 366 * 24 * 3_600;
    let halves = Some(prost_types::Duration { seconds: 0, nanos: 999_999_999 });
    for bad in [halves, secs(0), secs(-1), secs(ten_years + 1), secs(i64::MAX)] {
        let refused = state.put(pb::PutRequest { ttl: bad, ..put("k", "1", None) }).await.unwrap_err();
        assert_eq!(
            (refused.code(), status::field(&refused).as_deref()),
            (Code::InvalidArgument, Some("ttl")),
            "{bad:?}"
        );
    }
    for (key, good) in [("a", 1), ("b", ten_years)] {
        state.put(pb::PutRequest { ttl: secs(good), ..put(key, "1", None) }).await.expect("the limits are allowed");
    }
}

/// What the service does by itself, as if it were later.
async fn later(state: &Harness, seconds: i64) -> usize {
    let now = time::now_micros() + seconds * MICROS;
    expiry::all(state.state.decider(), now).await.expect("the store is there")
}

#[tokio::test]
async fn a_record_whose_time_is_over_is_deleted_as_by_a_write() {
    let state = Harness::start().await;
    let watch = pb::WatchRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    let mut changes =
        state.client.clone().watch(for_tenant(Request::new(watch), "acme").unwrap()).await.unwrap().into_inner();
    changes.message().await.unwrap().expect("it is open");
    let made = state.put(pb::PutRequest { ttl: secs(60), ..put("k", "1", None) }).await.unwrap();
    state.make("stays", "1").await;
    assert_eq!(later(&state, 30).await, 0, "nobody's time is over");
    assert_eq!(later(&state, 61).await, 1);

    assert_eq!(state.get("k").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(data(&state.get("stays").await.unwrap()), "1");
    let told = conflict(&state.put(put("k", "2", Some(&made.version))).await.unwrap_err());
    assert_eq!(told.writers_since.len(), 1, "its end is a write that was not seen");
    for deleted in [false, false, true] {
        let change = changes.message().await.unwrap().expect("a change").edition.expect("a change");
        assert_eq!(change.deleted, deleted);
    }
    let anew = state.put(put("k", "2", None)).await.unwrap();
    assert_eq!(anew.revision, 3);
}

#[tokio::test]
async fn a_record_that_was_written_again_has_its_time_anew() {
    let state = Harness::start().await;
    let made = state.put(pb::PutRequest { ttl: secs(60), ..put("k", "1", None) }).await.unwrap();
    state.put(pb::PutRequest { ttl: secs(600), ..put("k", "2", Some(&made.version)) }).await.unwrap();
    assert_eq!(later(&state, 61).await, 0);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");
}
