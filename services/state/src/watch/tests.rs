//! Watches over a place that decides in memory, in paused time.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use holdfast_rpc::{service::Stop, time::now_micros};

use super::{Changed, Start, Token, WatchFrom};
use crate::{
    config::Config,
    decider::model::Model,
    domain::{Address, Partition, Precondition, Value, Vector},
    failed::Failed,
    locks::Acquire,
    state::State,
    write::{Command, Durability, Write},
};

type Changes = futures::stream::BoxStream<'static, Result<Changed, Failed>>;

fn state(model: &Arc<Model>) -> State {
    State::over(Arc::clone(model) as _)
}

fn partition(name: &str) -> Partition {
    Partition::new("acme", "accounts", name).expect("names")
}

fn all(start: Start) -> WatchFrom {
    WatchFrom { partition: partition("C-1"), record: None, start }
}

fn one(record: &Address, start: Start) -> WatchFrom {
    WatchFrom { record: Some(record.clone()), ..all(start) }
}

async fn put(state: &State, address: &Address, n: usize) -> Vector {
    let value = Some(Value { data: n.to_string().into(), content_type: "".into() });
    let write = Write { address: address.clone(), precondition: Precondition::Overwrite, value, expires: None };
    let command = Command {
        writes: vec![write],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: now_micros(),
    };
    state.write(&command, None).await.expect("nothing speaks against it").records.remove(0).vector
}

async fn open(state: &State, from: WatchFrom) -> (Changes, Token) {
    let mut changes = state.watch(from).await.expect("the history goes back so far").boxed();
    let first = changes.next().await.expect("a watch has no end").expect("the stores are there");
    assert!(first.change.is_none(), "the first message only says from where");
    (changes, first.token)
}

async fn next(changes: &mut Changes) -> Result<(String, String, Token), Failed> {
    let message = changes.next().await.expect("an end is told")?;
    let (address, edition) = message.change.expect("a change");
    let text = edition.value.as_ref().map_or_else(String::new, |value| String::from_utf8_lossy(&value.data).into());
    Ok((address.key().to_owned(), text, message.token))
}

#[tokio::test(start_paused = true)]
async fn each_change_is_shown_once_in_order_whoever_wrote_it() {
    let model = Model::new();
    let (near, far) = (state(&model), state(&model.another()));
    for watching in [state(&model.another()), state(&model.deaf())] {
        let (mut changes, _) = open(&watching, all(Start::Now)).await;
        let writers: Vec<_> = [near.clone(), far.clone()]
            .into_iter()
            .enumerate()
            .map(|(writer, state)| {
                tokio::spawn(async move {
                    for n in 0..2_500 {
                        put(&state, &partition("C-1").record(&format!("w{writer}")), n).await;
                        put(&state, &partition("C-2").record("neighbour"), n).await;
                    }
                })
            })
            .collect();
        let mut seen = [0, 0];
        let mut last = String::new();
        while seen != [2_500, 2_500] {
            let (key, text, token) = next(&mut changes).await.unwrap();
            let writer = usize::from(key == "w1");
            assert_eq!(text, seen[writer].to_string(), "{key}");
            seen[writer] += 1;
            assert!(token.to_string() > last, "tokens rise");
            last = token.to_string();
        }
        for writer in writers {
            writer.await.expect("it wrote all");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn others_writes_are_noticed_soon_without_news() {
    let model = Model::new();
    let (deaf, writer) = (state(&model.deaf()), state(&model));
    let (mut changes, _) = open(&deaf, all(Start::Now)).await;
    let waits = tokio::spawn(async move { next(&mut changes).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    put(&writer, &partition("C-1").record("a"), 1).await;
    let written = tokio::time::Instant::now();
    waits.await.expect("no panic").unwrap();
    assert!(written.elapsed() <= Duration::from_millis(210), "{:?}", written.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_on_behind_its_change() {
    let model = Model::new();
    let state = state(&model);
    let (mut changes, first) = open(&state, all(Start::Now)).await;
    for n in 0..10 {
        put(&state, &partition("C-1").record("a"), n).await;
    }
    for start in 0..10 {
        let (_, _, token) = next(&mut changes).await.unwrap();
        let (mut rest, _) = open(&state, all(Start::Token(token))).await;
        for n in start + 1..10 {
            assert_eq!(next(&mut rest).await.unwrap().1, n.to_string());
        }
    }
    let (mut whole, _) = open(&state, all(Start::Token(first))).await;
    assert_eq!(next(&mut whole).await.unwrap().1, "0");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_record_begins_behind_any_version_that_is_kept() {
    let model = Model::new();
    let state = state(&model);
    let record = partition("C-1").record("a");
    let mut versions = Vec::new();
    for n in 0..5 {
        versions.push(put(&state, &record, n).await);
        put(&state, &partition("C-1").record("other"), n).await;
    }
    for (n, version) in versions.iter().enumerate() {
        let (mut changes, _) = open(&state, one(&record, Start::Version(version.clone()))).await;
        for later in n + 1..5 {
            assert_eq!(next(&mut changes).await.unwrap().1, later.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_current_version_needs_no_history() {
    let model = Model::new();
    let state = state(&model);
    let record = partition("C-1").record("a");
    let (old, current) = (put(&state, &record, 0).await, put(&state, &record, 1).await);
    model.cut();
    let (mut changes, _) = open(&state, one(&record, Start::Version(current))).await;
    let gone = state.watch(one(&record, Start::Version(old))).await.map(drop);
    assert!(matches!(gone, Err(Failed::HistoryGone)), "{gone:?}");
    put(&state, &record, 2).await;
    assert_eq!(next(&mut changes).await.unwrap().1, "2");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_history_has_overtaken_is_told_so() {
    let model = Model::new();
    let state = state(&model);
    let (mut slow, token) = open(&state, all(Start::Now)).await;
    for n in 0..10 {
        put(&state, &partition("C-1").record("a"), n).await;
    }
    model.cut();
    let gone = next(&mut slow).await;
    assert!(matches!(gone, Err(Failed::HistoryGone)), "{gone:?}");
    assert!(slow.next().await.is_none(), "then it ends");
    let gone = state.watch(all(Start::Token(token))).await.map(drop);
    assert!(matches!(gone, Err(Failed::HistoryGone)), "{gone:?}");
}

/// A store that was put back gives its places anew: what they name now is something else.
#[tokio::test(start_paused = true)]
async fn a_token_from_ahead_of_the_history_is_refused() {
    let ahead = state(&Model::new());
    let (mut changes, _) = open(&ahead, all(Start::Now)).await;
    put(&ahead, &partition("C-1").record("a"), 0).await;
    let (_, _, token) = next(&mut changes).await.unwrap();
    let gone = state(&Model::new()).watch(all(Start::Token(token))).await.map(drop);
    assert!(matches!(gone, Err(Failed::HistoryGone)), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_service_keeps_for_itself_is_not_shown() {
    let model = Model::new();
    let state = state(&model);
    let (mut changes, _) = open(&state, all(Start::Now)).await;
    let acquire = Acquire {
        partition: partition("C-1"),
        name: "lock".into(),
        ttl: Duration::from_secs(1),
        wait: Duration::ZERO,
        request_id: uuid::Uuid::now_v7(),
        holder: "somebody".into(),
        lease: None,
    };
    state.acquire(acquire).await.unwrap();
    put(&state, &partition("C-1").record("a"), 0).await;
    assert_eq!(next(&mut changes).await.unwrap().0, "a");
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_nothing_to_show_says_how_far_it_is() {
    let model = Model::new();
    let state = state(&model);
    let (mut changes, first) = open(&state, all(Start::Now)).await;
    put(&state, &partition("C-2").record("neighbour"), 0).await;
    let reminder = changes.next().await.expect("no end").expect("no trouble");
    assert!(reminder.change.is_none() && reminder.token != first);
    model.cut();
    let _goes_on = open(&state, all(Start::Token(reminder.token))).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_watch() {
    let stop = Stop::new();
    let state = State::with(Model::new(), &Config::default(), stop.clone());
    let (mut changes, _) = open(&state, all(Start::Now)).await;
    stop.cancel();
    let ended = next(&mut changes).await;
    assert!(matches!(ended, Err(Failed::Closed { in_doubt: false })), "{ended:?}");
}
