use std::time::{Duration, SystemTime};

use holdfast_sdk::state::{BatchWrite, Durability, Precondition, State, Version, Write};
use serde_json::json;

use crate::served::{Served, address, number};

/// Writes a record so often, and returns its versions in order.
async fn write(state: &State, times: u64) -> Vec<Version> {
    let mut versions = Vec::new();
    for count in 1..=times {
        let precondition = versions.last().cloned().map_or(Precondition::Absent, Precondition::Version);
        versions.push(state.put(&address("k"), number(count), precondition).await.expect("it is current").version);
    }
    versions
}

#[tokio::test]
async fn a_record_is_read_as_it_was() {
    let served = Served::start().await;
    let state = served.state();
    let versions = write(&state, 5).await;
    for (place, version) in versions.iter().enumerate() {
        let record = state.get_at(&address("k"), version).await.expect("reachable").expect("there");
        assert_eq!(record.json::<u64>().expect("a number"), place as u64 + 1);
    }
    state.delete(&address("k"), Precondition::Version(versions[4].clone())).await.expect("it is current");
    assert!(state.get(&address("k")).await.expect("reachable").is_none());
    assert!(state.get_at(&address("k"), &versions[4]).await.expect("reachable").is_some());
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let served = Served::start().await;
    let state = served.state();
    write(&state, 7).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = state.history(&address("k"), 3, &token).await.expect("reachable");
        seen.extend(page.editions.iter().map(|edition| edition.record.revision));
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_write_says_how_long_its_record_lives() {
    let served = Served::start().await;
    let state = served.state();
    let write = Write::new(address("k"), number(1), Precondition::Absent).with_ttl(Duration::from_secs(3_600));
    state.write(write).await.expect("new");
    let batch =
        BatchWrite::new("accounts", "C-1").put_for(Duration::from_secs(3_600), "b", number(1), Precondition::Absent);
    state.batch_put(batch).await.expect("new");
    for key in ["k", "b"] {
        let record = state.get(&address(key)).await.expect("reachable").expect("there");
        let left = record.expires.expect("it expires").duration_since(SystemTime::now()).expect("not yet");
        assert!(left > Duration::from_secs(3_500) && left <= Duration::from_secs(3_600), "{left:?}");
        assert!(record.writer.time.is_some());
    }
}

#[tokio::test]
async fn what_may_be_old_says_how_old_it_is() {
    let served = Served::start().await;
    let state = served.state();
    write(&state, 1).await;
    let minute = Duration::from_secs(60);
    let first = state.get_stale(&address("k"), minute).await.expect("reachable").expect("there");
    assert_eq!((first.found.json::<u64>().expect("a number"), first.staleness), (1, Duration::ZERO));
    let again = state.get_stale(&address("k"), minute).await.expect("reachable").expect("there");
    assert!(again.staleness > Duration::ZERO && again.staleness < minute, "it came from memory: {again:?}");
    let both = state.batch_get_stale(&[address("k"), address("absent")], minute).await.expect("reachable");
    assert_eq!((both.found.len(), both.staleness > Duration::ZERO), (1, true));
    assert!(state.get_stale(&address("absent"), minute).await.expect("reachable").is_none());
}

#[tokio::test]
async fn a_barrier_returns_once_what_was_acknowledged_is_stored() {
    let served = Served::with("[state.cached]\nage_max = \"1h\"\n").await;
    let state = served.state();
    for count in 1..=20 {
        let write = Write::new(address("k"), number(count), Precondition::Overwrite);
        state.write(write.with_durability(Durability::Cached)).await.expect("taken");
    }
    state.sync("accounts", "C-1").await.expect("stored");
    let page = state.history(&address("k"), 1, "").await.expect("reachable");
    let newest = &page.editions[0];
    assert_eq!((newest.record.json::<serde_json::Value>().expect("JSON"), newest.overwrote), (json!(20), true));
}
