use std::{sync::Arc, time::Duration};

use holdfast_rpc::time::now_micros;

use super::*;
use crate::{
    config::Config,
    decider::model::Model,
    domain::{Partition, Precondition, Value},
    write::{Command, Durability, Write},
};

const SECOND: Duration = Duration::from_secs(1);

fn record(key: &str) -> Address {
    Partition::new("acme", "accounts", "C-1").expect("names").record(key)
}

async fn put(state: &State, key: &str, text: &str) {
    let value = Some(Value { data: text.to_owned().into(), content_type: "".into() });
    let write = Write { address: record(key), precondition: Precondition::Overwrite, value, expires: None };
    let command = Command {
        writes: vec![write],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: now_micros(),
    };
    state.write(&command, None).await.expect("nothing speaks against it");
    // What comes later is later by the clock too.
    tokio::time::advance(Duration::from_nanos(1)).await;
}

async fn read(state: &State, key: &str, max_staleness: Duration) -> Result<(String, Option<Duration>), Failed> {
    let (mut editions, age) = state.get_stale(&[record(key)], max_staleness).await?;
    let value = editions.remove(0).and_then(|edition| edition.value.clone());
    Ok((value.map_or_else(|| "-".into(), |value| String::from_utf8_lossy(&value.data).into()), age))
}

/// The clock that the tests turn.
#[derive(Debug)]
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

fn process(model: Arc<Model>, config: &Config) -> State {
    let clock = Arc::new(Paused(tokio::time::Instant::now()));
    State::by_clock(model, config, holdfast_rpc::service::Stop::new(), clock)
}

fn two_processes() -> (Arc<Model>, State, State) {
    let model = Model::new();
    let other = process(model.another(), &Config::default());
    (Arc::clone(&model), process(model, &Config::default()), other)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_as_old_as_it_says_and_no_older_than_was_asked() {
    let (_, here, there) = two_processes();
    put(&there, "a", "1").await;
    assert_eq!(read(&here, "a", SECOND).await.unwrap(), ("1".into(), None));
    put(&there, "a", "2").await;
    tokio::time::advance(SECOND / 2).await;
    let age = Some(SECOND / 2 + Duration::from_nanos(1));
    assert_eq!(read(&here, "a", SECOND).await.unwrap(), ("1".into(), age));
    tokio::time::advance(SECOND).await;
    assert_eq!(read(&here, "a", SECOND).await.unwrap(), ("2".into(), None));
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_before_the_read_was_sent() {
    let (model, here, _) = two_processes();
    put(&here, "a", "1").await;
    model.delay(SECOND);
    read(&here, "a", SECOND * 5).await.unwrap();
    assert!(read(&here, "a", SECOND * 5).await.unwrap().1 >= Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn without_stores_what_is_known_well_enough_is_answered() {
    let (model, here, _) = two_processes();
    put(&here, "a", "1").await;
    read(&here, "a", SECOND).await.unwrap();
    read(&here, "absent", SECOND).await.unwrap();
    model.away(true);
    tokio::time::advance(SECOND).await;
    assert_eq!(read(&here, "a", SECOND).await.unwrap(), ("1".into(), Some(SECOND)));
    assert_eq!(read(&here, "absent", SECOND).await.unwrap(), ("-".into(), Some(SECOND)));
    tokio::time::advance(SECOND).await;
    assert!(read(&here, "a", SECOND).await.is_err());
    assert!(read(&here, "never read", SECOND).await.is_err());
    assert!(here.get(&record("a")).await.is_err(), "a read that is to be current is not answered");
}

#[tokio::test(start_paused = true)]
async fn several_records_are_as_old_as_the_oldest() {
    let (_, here, there) = two_processes();
    put(&there, "a", "1").await;
    read(&here, "a", SECOND).await.unwrap();
    tokio::time::advance(SECOND).await;
    read(&here, "b", SECOND).await.unwrap();
    let (editions, age) = here.get_stale(&[record("a"), record("b"), record("c")], SECOND).await.unwrap();
    assert_eq!((editions[0].is_some(), age), (true, Some(SECOND)));
}

#[tokio::test(start_paused = true)]
async fn what_a_process_writes_or_reads_its_stale_reads_know() {
    let (_, here, there) = two_processes();
    put(&here, "a", "1").await;
    read(&here, "a", SECOND).await.unwrap();
    put(&here, "a", "2").await;
    assert_eq!(read(&here, "a", SECOND).await.unwrap().0, "2");
    put(&there, "a", "3").await;
    assert_eq!(read(&here, "a", SECOND).await.unwrap().0, "2");
    here.get(&record("a")).await.unwrap();
    assert_eq!(read(&here, "a", SECOND).await.unwrap().0, "3");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_sent_before_a_write_here_does_not_hide_it() {
    let (model, here, _) = two_processes();
    put(&here, "a", "1").await;
    read(&here, "a", SECOND * 9).await.unwrap();
    tokio::time::advance(Duration::from_nanos(1)).await;
    model.delay(SECOND);
    let slow = tokio::spawn({
        let here = here.clone();
        async move { read(&here, "a", Duration::ZERO).await }
    });
    tokio::task::yield_now().await;
    model.delay(Duration::ZERO);
    put(&here, "a", "2").await;
    slow.await.expect("no panic").unwrap();
    assert_eq!(read(&here, "a", SECOND * 9).await.unwrap(), ("2".into(), None));
}

#[tokio::test(start_paused = true)]
async fn what_was_overwritten_here_is_still_an_answer_where_the_stores_are_gone() {
    let (model, here, _) = two_processes();
    put(&here, "a", "1").await;
    read(&here, "a", SECOND).await.unwrap();
    put(&here, "a", "2").await;
    model.away(true);
    let (text, age) = read(&here, "a", SECOND).await.unwrap();
    assert_eq!((text.as_str(), age.is_some()), ("1", true));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_in_bytes() {
    let bytes = 64 << 10;
    let model = Model::new();
    let config: Config = Config { stale_cache: holdfast_config::Size::from_mib(1), ..Config::default() };
    let here = process(model, &config);
    for n in 0..200 {
        let key = n.to_string();
        put(&here, &key, &"x".repeat(bytes)).await;
        read(&here, &key, SECOND).await.unwrap();
        assert!(here.stale().known.weight() <= 1 << 20);
    }
    assert!(here.stale().known.len() > 8, "most of it is used");
}

#[test]
fn of_two_answers_at_once_the_younger_stays() {
    let stale = Stale::new(1 << 20, Arc::new(crate::redis::clock::SinceBoot));
    stale.used.store(true, Relaxed);
    let address = record("a");
    for round in 1..2_000 {
        let at = |half: u64| Duration::from_secs(2 * round + half);
        std::thread::scope(|scope| {
            scope.spawn(|| stale.put(&address, None, at(1)));
            stale.put(&address, None, at(0));
        });
        assert_eq!(stale.known.peek(&address).expect("there is room").at, at(1));
    }
}

#[test]
fn a_write_here_is_not_forgotten_for_an_answer_that_comes_meanwhile() {
    let stale = Stale::new(1 << 20, Arc::new(crate::redis::clock::SinceBoot));
    stale.used.store(true, Relaxed);
    for round in 1..5_000 {
        let address = record(&round.to_string());
        stale.put(&address, None, Duration::ZERO);
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                stale.put(&address, None, Duration::from_nanos(1));
            });
            both.wait();
            stale.written([&address].into_iter());
        });
        assert!(!stale.known.peek(&address).expect("there is room").is_fresh());
    }
}
