//! What the next process knows.

use super::*;

fn daily() -> Limits {
    let own = ModelLimits { tokens_per_day: Some(100), requests_per_minute: Some(50), ..ModelLimits::default() };
    let of_model = ModelLimits { requests_per_day: Some(10), ..ModelLimits::default() };
    Limits { own, models: [("m".to_owned(), of_model)].into(), window: Duration::from_secs(60) }
}

fn left(gate: &Gate) -> Vec<(Kind, u64)> {
    let capacity = gate.capacity();
    capacity.keys[0].limits.iter().map(|limit| (limit.kind, limit.available)).collect()
}

/// A call that used so many tokens.
async fn call(gate: &Gate, tokens: u64) {
    let lane = gate.lane("m");
    let need = Need { input: tokens, output: 0 };
    let mut place = gate.enter(Want { lane, need, ..want() }, None).await.expect("it is free");
    place.dispatch(need);
    place.finish(Some(Usage { input_tokens: tokens, output_tokens: 0 }));
}

#[tokio::test]
async fn a_day_outlives_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &daily())]);
    call(&gate, 30).await;
    drop(gate);
    let expected = [(Kind::Requests, 49), (Kind::TokensPerDay, 70), (Kind::RequestsPerDay, 9)];
    assert_eq!(left(&open(directory.path(), &[("k", &daily())])), expected);
    // Even when the last window is over, and its journal knows no more.
    std::fs::remove_file(directory.path().join("p.k.window")).expect("it is there");
    let expected = [(Kind::Requests, 50), (Kind::TokensPerDay, 70), (Kind::RequestsPerDay, 9)];
    assert_eq!(left(&open(directory.path(), &[("k", &daily())])), expected);
}

#[tokio::test]
async fn what_a_killed_process_did_not_write_of_a_day_is_in_its_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &daily())]);
    gate.shared.write_down(false);
    call(&gate, 30).await;
    call(&gate, 12).await;
    // As if it were killed: nothing more is written.
    let days = std::fs::read(directory.path().join("p.k.days")).expect("it is there");
    let window = std::fs::read(directory.path().join("p.k.window")).expect("it is there");
    drop(gate);
    std::fs::write(directory.path().join("p.k.days"), days).expect("it is written");
    std::fs::write(directory.path().join("p.k.window"), window).expect("it is written");
    let expected = [(Kind::Requests, 48), (Kind::TokensPerDay, 58), (Kind::RequestsPerDay, 8)];
    assert_eq!(left(&open(directory.path(), &[("k", &daily())])), expected);
}

#[tokio::test]
async fn a_day_is_written_soon_after_it_changed() {
    tokio::time::pause();
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &daily())]);
    call(&gate, 30).await;
    let changed = Instant::now();
    gate.shared.kept.notified().await;
    assert!(changed.elapsed() >= Duration::from_secs(1), "not with each call");
    let written = std::fs::read_to_string(directory.path().join("p.k.days")).expect("it is there");
    assert!(written.contains("30"), "{written}");
}

#[tokio::test]
async fn a_key_that_was_removed_is_known_when_it_comes_back() {
    tokio::time::pause();
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &daily())]);
    call(&gate, 30).await;
    let before = left(&gate);
    // What ended a hundredth of a second ago may be counted twice.
    tokio::time::advance(Duration::from_millis(20)).await;
    gate.set_keys(vec![("l".into(), concurrency(1))]).expect("the directory is there");
    gate.set_keys(vec![("k".into(), daily())]).expect("the directory is there");
    assert_eq!(left(&gate), before);
}

#[tokio::test]
async fn a_limit_that_a_key_in_use_gets_counts_what_its_journal_knows() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &daily())]);
    call(&gate, 30).await;
    let mut more = daily();
    more.own.tokens_per_minute = Some(1_000);
    gate.set_keys(vec![("k".into(), more)]).expect("the directory is there");
    assert!(left(&gate).contains(&(Kind::Tokens, 970)), "{:?}", left(&gate));
}

#[tokio::test]
async fn a_key_without_limits_that_gets_one_begins_with_it_spent() {
    let directory = tempfile::tempdir().expect("a directory");
    let none = Limits { own: ModelLimits::default(), ..concurrency(1) };
    let gate = open(directory.path(), &[("k", &none)]);
    call(&gate, 30).await;
    let own = ModelLimits { requests_per_minute: Some(5), ..ModelLimits::default() };
    gate.set_keys(vec![("k".into(), Limits { own, ..none })]).expect("the directory is there");
    assert_eq!(left(&gate), [(Kind::Requests, 0)]);
}
