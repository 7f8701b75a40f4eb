use std::time::Duration;

use futures::StreamExt as _;
use holdfast_sdk::{
    Error,
    state::{Changes, Precondition, Version, Watching},
};
use tokio::time::timeout;

use crate::served::{Served, address, number};

const SOON: Duration = Duration::from_secs(15);

async fn next(changes: &mut Changes) -> (u64, u64) {
    let change = timeout(SOON, changes.next()).await.expect("it comes in time").expect("a change");
    let record = change.edition.record;
    (record.revision, record.json().expect("a number"))
}

/// Writes a record once more.
async fn write(served: &Served, before: &mut Option<Version>, count: u64) {
    let precondition = before.take().map_or(Precondition::Absent, Precondition::Version);
    let written = served.state().put(&address("k"), number(count), precondition).await.expect("it is current");
    *before = Some(written.version);
}

#[tokio::test]
async fn a_watch_misses_nothing_over_restarts_and_broken_connections() {
    let mut served = Served::start().await;
    let mut changes = served.state().watch(Watching::record(&address("k")));
    changes.opened().await.expect("it is open");
    let (mut at, mut seen) = (None, 0);
    for count in 1..=30_u64 {
        write(&served, &mut at, count).await;
        match count % 6 {
            2 => served.cut(),
            // A reader that changes its mind while it waits.
            3 => seen += u64::from(timeout(Duration::ZERO, changes.next()).await.is_ok()),
            5 => served.restart().await,
            // What came before a break is read before it, or after it.
            _ => {
                while seen < count {
                    seen += 1;
                    assert_eq!(next(&mut changes).await, (seen, seen), "each once, in order");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_watch_that_is_open_shows_whatever_follows() {
    let served = Served::start().await;
    let mut at = None;
    write(&served, &mut at, 1).await;
    let mut changes = served.state().watch(Watching::partition("accounts", "C-1"));
    changes.opened().await.expect("it is open");
    served.cut();
    write(&served, &mut at, 2).await;
    assert_eq!(next(&mut changes).await, (2, 2), "nothing of before, and all of after");
}

#[tokio::test]
async fn a_watch_goes_on_where_another_ended() {
    let served = Served::start().await;
    let mut at = None;
    let mut changes = served.state().watch(Watching::record(&address("k")));
    let begin = changes.opened().await.expect("it is open").to_owned();
    for count in 1..=3 {
        write(&served, &mut at, count).await;
    }
    let first = changes.next().await.expect("a change");
    drop(changes);
    let mut changes = served.state().watch(Watching::record(&address("k")).after(first.token));
    assert_eq!((next(&mut changes).await, next(&mut changes).await), ((2, 2), (3, 3)));
    let again = served.state().watch(Watching::record(&address("k")).after(begin)).into_stream();
    let all: Vec<_> = again.take(3).map(|change| change.expect("a change").edition.record.revision).collect().await;
    assert_eq!(all, [1, 2, 3]);
}

#[tokio::test]
async fn a_watch_follows_from_what_was_read() {
    let served = Served::start().await;
    let mut at = None;
    write(&served, &mut at, 1).await;
    let read = served.state().get(&address("k")).await.expect("reachable").expect("there");
    write(&served, &mut at, 2).await;
    let mut changes = served.state().watch(Watching::record_after(&address("k"), &read.version));
    assert_eq!(next(&mut changes).await, (2, 2));
    served.cut();
    write(&served, &mut at, 3).await;
    assert_eq!(next(&mut changes).await, (3, 3));
}

#[tokio::test]
async fn an_error_is_told_and_does_not_end_a_watch() {
    let served = Served::start().await;
    let mut changes = served.state().watch(Watching::record(&address("k")).after("no token"));
    assert!(matches!(changes.next().await, Err(Error::Invalid(_))));

    let mut changes = served.state().watch(Watching::record(&address("k")));
    let token = changes.opened().await.expect("it is open").to_owned();
    let ahead = format!("{}{:016x}", &token[..token.len() - 16], u64::MAX >> 2);
    let gone = served.state().watch(Watching::record(&address("k")).after(ahead)).next().await;
    assert_eq!(gone.expect_err("the history has no such place").reason(), "HISTORY_GONE");
}
