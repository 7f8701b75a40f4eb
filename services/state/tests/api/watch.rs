use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{client::for_tenant, status};
use holdfast_state::Config;
use tokio::time::timeout;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::*;

/// What is to come comes within this time, or the test fails.
const SOON: Duration = Duration::from_secs(10);

type Changes = Streaming<pb::WatchResponse>;

fn partition() -> pb::WatchRequest {
    pb::WatchRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() }
}

fn record(key: &str) -> pb::WatchRequest {
    pb::WatchRequest { key: key.into(), ..partition() }
}

fn after(request: pb::WatchRequest, token: &str) -> pb::WatchRequest {
    pb::WatchRequest { after_token: token.into(), ..request }
}

async fn open(state: &Harness, request: pb::WatchRequest) -> Result<Changes, Status> {
    let request = for_tenant(Request::new(request), "acme")?;
    Ok(state.client.clone().watch(request).await?.into_inner())
}

async fn next(changes: &mut Changes) -> Result<pb::WatchResponse, Status> {
    let message = timeout(SOON, changes.message()).await.expect("it comes in time");
    message.map(|message| message.expect("a watch ends by an error only"))
}

/// The token from which a watch is complete.
async fn opened(changes: &mut Changes) -> String {
    let first = next(changes).await.expect("it is open");
    assert!(first.edition.is_none() && !first.token.is_empty(), "the first message only says from where: {first:?}");
    first.token
}

/// The key and content of a change; the content of a deletion is "-".
fn told(message: &pb::WatchResponse) -> (String, String) {
    let edition = message.edition.as_ref().expect("a change");
    let record = edition.record.as_ref().expect("filled");
    let content = if edition.deleted { "-".into() } else { data(record) };
    (record.address.as_ref().expect("filled").key.clone(), content)
}

async fn told_next(changes: &mut Changes) -> (String, String) {
    told(&next(changes).await.expect("a change"))
}

#[tokio::test]
async fn a_watch_shows_each_change_once_in_order() {
    let state = Harness::start().await;
    let before = state.make("a", "0").await;
    let mut changes = open(&state, partition()).await.unwrap();
    opened(&mut changes).await;

    let mut at = before;
    for n in 1..20 {
        at = state.put(put("a", &n.to_string(), Some(&at))).await.unwrap().version.into();
        state.make(&format!("b{n}"), "x").await;
    }
    let gone = pb::DeleteRequest { address: Some(address("a")), precondition: version(&at), ..Default::default() };
    state.delete(gone).await.unwrap();
    for n in 1..20 {
        assert_eq!(told_next(&mut changes).await, ("a".into(), n.to_string()));
        assert_eq!(told_next(&mut changes).await, (format!("b{n}"), "x".into()));
    }
    assert_eq!(told_next(&mut changes).await, ("a".into(), "-".into()));
}

#[tokio::test]
async fn a_watch_goes_on_behind_any_token_without_gap_or_repeat() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    let mut tokens = vec![opened(&mut changes).await];
    for n in 0..10 {
        state.make(&format!("k{n}"), "x").await;
        tokens.push(next(&mut changes).await.unwrap().token);
    }
    for (place, token) in tokens.iter().enumerate() {
        let mut changes = open(&state, after(partition(), token)).await.unwrap();
        opened(&mut changes).await;
        for n in place..10 {
            assert_eq!(told_next(&mut changes).await.0, format!("k{n}"), "behind token {place}");
        }
    }
}

#[tokio::test]
async fn a_watch_outlives_a_restart_by_its_token() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    opened(&mut changes).await;
    state.make("a", "1").await;
    let token = next(&mut changes).await.unwrap().token;
    state.make("b", "2").await;
    drop(changes);
    let state = state.restart().await;
    state.make("c", "3").await;
    let mut changes = open(&state, after(partition(), &token)).await.unwrap();
    opened(&mut changes).await;
    assert_eq!(told_next(&mut changes).await, ("b".into(), "2".into()));
    assert_eq!(told_next(&mut changes).await, ("c".into(), "3".into()));
}

#[tokio::test]
async fn a_watch_of_a_record_begins_behind_a_version_that_was_read() {
    let state = Harness::start().await;
    let mut versions = vec![state.make("k", "0").await];
    for n in 1..5 {
        let put = put("k", &n.to_string(), versions.last().map(Vec::as_slice));
        versions.push(state.put(put).await.unwrap().version.into());
        state.make(&format!("other{n}"), "x").await;
    }
    for (place, version) in versions.iter().enumerate() {
        let request = pb::WatchRequest { after_version: version.clone().into(), ..record("k") };
        let mut changes = open(&state, request).await.unwrap();
        opened(&mut changes).await;
        for n in place + 1..5 {
            assert_eq!(told_next(&mut changes).await, ("k".into(), n.to_string()), "behind version {place}");
        }
    }
    let newest = pb::WatchRequest { after_version: versions[4].clone().into(), ..record("k") };
    let mut changes = open(&state, newest).await.unwrap();
    opened(&mut changes).await;
    state.put(put("k", "5", Some(&versions[4]))).await.unwrap();
    assert_eq!(told_next(&mut changes).await, ("k".into(), "5".into()));
}

#[tokio::test]
async fn cached_writes_are_shown_too() {
    let state = Harness::start().await;
    let mut changes = open(&state, record("k")).await.unwrap();
    opened(&mut changes).await;
    let mut at = state.put(cached(put("k", "0", None))).await.unwrap().version;
    for n in 1..30 {
        at = state.put(cached(put("k", &n.to_string(), Some(&at)))).await.unwrap().version;
    }
    for n in 0..30 {
        assert_eq!(told_next(&mut changes).await, ("k".into(), n.to_string()));
    }
}

#[tokio::test]
async fn what_a_watch_shows_every_read_shows() {
    let state = Harness::start().await;
    let mut changes = open(&state, record("k")).await.unwrap();
    opened(&mut changes).await;
    let mut at = state.make("k", "0").await;
    let writer = async {
        for n in 1..60 {
            at = state.put(put("k", &n.to_string(), Some(&at))).await.unwrap().version.into();
        }
    };
    let reader = async {
        for _ in 0..60 {
            let shown = next(&mut changes).await.unwrap().edition.unwrap().record.unwrap().revision;
            assert!(state.get("k").await.unwrap().revision >= shown);
        }
    };
    tokio::join!(writer, reader);
}

#[tokio::test]
async fn a_slow_reader_misses_nothing() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    opened(&mut changes).await;
    let large = "x".repeat(200 << 10);
    let mut at = state.make("k", &large).await;
    for _ in 1..60 {
        at = state.put(put("k", &large, Some(&at))).await.unwrap().version.into();
    }
    for revision in 1..=60 {
        let shown = next(&mut changes).await.unwrap().edition.unwrap().record.unwrap();
        assert_eq!((shown.revision, data(&shown).len()), (revision, large.len()));
    }
}

#[tokio::test]
async fn a_place_that_the_history_does_not_have_is_told_as_gone() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    let token = opened(&mut changes).await;
    // Of a store that was put back: places that are given anew.
    let ahead = format!("{}{:016x}", &token[..token.len() - 16], u64::MAX >> 2);
    let gone = open(&state, after(partition(), &ahead)).await.unwrap_err();
    assert_eq!((gone.code(), status::reason(&gone).as_deref()), (Code::OutOfRange, Some("HISTORY_GONE")));
}

#[tokio::test]
async fn a_drain_ends_a_watch_with_a_word() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    opened(&mut changes).await;
    let (ended, _) = tokio::join!(changes.message(), state.shut());
    assert_come_back(&ended.unwrap_err());
}

#[tokio::test]
async fn a_watch_shows_its_tenants_changes_only() {
    let state = Harness::start().await;
    let mut changes = open(&state, partition()).await.unwrap();
    let token = opened(&mut changes).await;
    let foreign = for_tenant(Request::new(put("k", "theirs", None)), "other").unwrap();
    state.client.clone().put(foreign).await.unwrap();
    state.make("k", "ours").await;
    assert_eq!(told_next(&mut changes).await, ("k".into(), "ours".into()));

    let stolen = for_tenant(Request::new(after(partition(), &token)), "other").unwrap();
    let refused = state.client.clone().watch(stolen).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("after_token"), "a token is bound to its tenant's partition");
}

#[tokio::test]
async fn watches_are_bounded_and_their_places_come_back() {
    let state = Harness::with(Config { watches_max: 2, ..Config::default() }).await;
    let (mut first, second) = (open(&state, partition()).await.unwrap(), open(&state, partition()).await.unwrap());
    opened(&mut first).await;
    let refused = open(&state, partition()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    state.make("k", "calls go on").await;

    drop(second);
    let again = async {
        while open(&state, partition()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.expect("a reader that left has no place");
}

#[tokio::test]
async fn a_bad_watch_names_its_field() {
    let state = Harness::start().await;
    let version = state.make("k", "1").await;
    let other = state.make("other", "1").await;
    let token = opened(&mut open(&state, partition()).await.unwrap()).await;
    let behind = |request, version: &[u8]| pb::WatchRequest { after_version: version.to_vec().into(), ..request };
    for (bad, field) in [
        (pb::WatchRequest { namespace: String::new(), ..partition() }, "namespace"),
        (pb::WatchRequest { partition: "a\nb".into(), ..partition() }, "partition"),
        (record("a\0b"), "key"),
        (behind(partition(), &version), "after_version"),
        (behind(record("k"), &other), "after_version"),
        (behind(record("k"), b"7"), "after_version"),
        (after(partition(), "7"), "after_token"),
        (after(pb::WatchRequest { partition: "C-2".into(), ..partition() }, &token), "after_token"),
        (after(behind(record("k"), &version), &token), "after_token"),
    ] {
        let refused = open(&state, bad).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
}
