//! The gate's own part: who waits is woken, who goes away leaves nothing behind, and the next process knows of it.

mod restart;

use futures::{FutureExt, poll};

use super::*;
use crate::{
    config::ModelLimits,
    domain::{Granted, Kind, Need, State as Health, Usage},
};

fn concurrency(most: u32) -> Limits {
    let own = ModelLimits { concurrency: Some(most), ..ModelLimits::default() };
    Limits { own, models: Default::default(), window: Duration::from_secs(60) }
}

fn open(directory: &Path, keys: &[(&str, &Limits)]) -> Gate {
    let keys = keys.iter().map(|(name, limits)| ((*name).to_owned(), (*limits).clone())).collect();
    let order = (Bounds { calls: 10, bytes: 1_000 }, Duration::from_secs(10));
    Gate::open(directory, "p", keys, order, None, Clock::start(), Gauges::new("p")).expect("the directory is there")
}

/// A gate before one key with one place.
fn gate(directory: &Path) -> Gate {
    open(directory, &[("k", &concurrency(1))])
}

fn want() -> Want {
    Want {
        lane: Lane(0),
        tenant: "t".into(),
        weight: 1,
        priority: 0,
        need: NEED,
        counted: None,
        bytes: 1,
        deadline: None,
        start_by: None,
    }
}

const NEED: Need = Need { input: 1, output: 0 };

impl Gate {
    fn in_line(&self) -> usize {
        let state = self.shared.state.lock();
        assert_eq!(state.pool.in_line(), state.waiting.len(), "the line and those who wait are the same");
        state.pool.in_line()
    }

    fn health(&self) -> Vec<(String, Health)> {
        self.capacity().keys.into_iter().map(|key| (key.name.to_string(), key.state)).collect()
    }
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let place = gate.enter(want(), None).await.expect("it is free");
    let mut first = Box::pin(gate.enter(want(), None));
    let mut second = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    assert_eq!(gate.in_line(), 2);
    drop(first);
    assert_eq!(gate.in_line(), 1);
    place.finish(None);
    second.await.expect("it was next");
}

#[tokio::test]
async fn a_place_given_to_somebody_who_goes_away_is_given_to_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let place = gate.enter(want(), None).await.expect("it is free");
    let mut first = Box::pin(gate.enter(want(), None));
    let mut second = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    place.finish(None);
    assert_eq!(gate.in_line(), 1, "the first has it, and does not know yet");
    drop(first);
    second.now_or_never().expect("at once").expect("it was next");
}

#[tokio::test]
async fn a_call_that_was_sent_and_given_up_holds_its_place_a_while() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let mut place = gate.enter(want(), None).await.expect("it is free");
    place.dispatch(NEED);
    drop(place);
    let asked = Instant::now();
    gate.enter(want(), None).await.expect("by time alone");
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_at_the_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let _place = gate.enter(want(), None).await.expect("it is free");
    let soon = || Some(gate.at(Instant::now() + Duration::from_millis(50)));
    let refusal = gate.enter(Want { deadline: soon(), ..want() }, None).await.expect_err("nobody leaves");
    assert_eq!(refusal.why, Why::Late);
    let elsewhere = Want { start_by: soon(), deadline: Some(Duration::MAX), ..want() };
    let refusal = gate.enter(elsewhere, None).await.expect_err("nobody leaves");
    assert_eq!(refusal.why, Why::Slow);
    assert_eq!(gate.in_line(), 0);
}

#[tokio::test]
async fn a_place_whose_key_went_to_rest_meanwhile_is_not_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = open(directory.path(), &[("k", &concurrency(2)), ("l", &concurrency(1))]);
    gate.lane("m");
    let [one, two, other] = [(); 3].map(|()| gate.enter(want(), None).now_or_never().expect("at once").expect("free"));
    let (ours, other) = if one.key() == two.key() { ([one, two], other) } else { ([one, other], two) };
    let [mut first, second] = ours;
    assert_eq!((&**first.key(), &**other.key()), ("k", "l"));
    let mut next = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut next).is_pending());
    first.dispatch(NEED);
    second.finish(None);
    assert_eq!(gate.in_line(), 0, "it has a place, and does not know yet");
    first.rest(Duration::from_secs(7));
    assert!(poll!(&mut next).is_pending(), "its key rests");
    other.finish(None);
    let place = next.await.expect("the other key is free");
    assert_eq!(&**place.key(), "l");
}

#[tokio::test]
async fn a_call_may_leave_for_as_long_as_its_key_is_well_and_its_lease_lasts() {
    tokio::time::pause();
    let directory = tempfile::tempdir().expect("a directory");
    let keys = vec![("k".to_owned(), concurrency(2))];
    let order = (Bounds { calls: 10, bytes: 1_000 }, Duration::from_secs(10));
    let shares = Some(Shares { reserve_percent: 50, processes_max: 1 });
    let opened = Gate::open(directory.path(), "p", keys, order, shares, Clock::start(), Gauges::new("p"));
    let gate = opened.expect("the directory is there");
    gate.lane("m");
    let leased = || {
        gate.rounds().step(|pool, now| {
            pool.stocks(&mut |_, _, stock| {
                let told = stock.report(now);
                stock.granted(now, now, &told, &Granted { granted: 2, ..Granted::default() });
            });
        });
    };
    leased();
    let place = gate.enter(want(), None).now_or_never().expect("at once").expect("it is free");
    let arrival = place.arrival();
    assert!(arrival.may_leave());
    tokio::time::advance(Duration::from_millis(999)).await;
    assert!(arrival.may_leave());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!arrival.may_leave(), "others may have its place by now");
    place.unsent();
    leased();
    let [mut first, second] =
        [(); 2].map(|()| gate.enter(want(), None).now_or_never().expect("at once").expect("free"));
    let arrival = second.arrival();
    assert!(arrival.may_leave());
    first.dispatch(NEED);
    first.rest(Duration::from_secs(7));
    assert!(!arrival.may_leave(), "the provider would only refuse it");
}

#[tokio::test]
async fn keys_come_and_go_while_calls_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let mut changes = gate.changes();
    let mut place = gate.enter(want(), None).await.expect("it is free");
    place.dispatch(NEED);
    let mut next = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut next).is_pending());
    changes.borrow_and_update();
    gate.set_keys(vec![("l".into(), concurrency(1))]).expect("the directory is there");
    assert!(changes.has_changed().expect("the gate is there"));
    let other = next.await.expect("the new key is free");
    assert_eq!((&**place.key(), &**other.key()), ("k", "l"));
    assert_eq!(gate.health(), [("l".to_owned(), Health::Well)]);
    place.finish(Some(Usage::default()));
    let mut next = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut next).is_pending(), "what the old key frees is of no use");
    gate.set_keys(vec![("k".into(), concurrency(1)), ("l".into(), concurrency(2))]).expect("the directory is there");
    next.await.expect("there is room again");
}

#[tokio::test]
async fn a_key_with_a_new_secret_is_tried_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    gate.lane("m");
    let mut place = gate.enter(want(), None).await.expect("it is free");
    place.dispatch(NEED);
    place.deny(Duration::from_secs(600));
    assert_eq!(gate.health(), [("k".to_owned(), Health::Quarantined)]);
    assert_eq!(gate.enter(want(), None).await.expect_err("no key").why, Why::NoKey);
    gate.renew("k");
    let mut place = gate.enter(want(), None).await.expect("it is tried");
    place.taken();
    place.finish(None);
}

#[tokio::test]
async fn what_came_free_by_time_is_for_the_first_in_line_whoever_comes_then() {
    tokio::time::pause();
    let directory = tempfile::tempdir().expect("a directory");
    let own = ModelLimits { requests_per_minute: Some(1), ..ModelLimits::default() };
    let gate = open(directory.path(), &[("k", &Limits { own, window: Duration::from_millis(100), ..concurrency(1) })]);
    gate.lane("m");
    let place = gate.enter(want(), None).await.expect("it is free");
    place.arrival().answered();
    place.finish(Some(Usage::default()));
    let mut first = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut first).is_pending());
    tokio::time::advance(Duration::from_millis(150)).await;
    let mut second = Box::pin(gate.enter(want(), None));
    assert!(poll!(&mut second).is_pending(), "somebody stands further ahead");
    first.now_or_never().expect("at once").expect("it was first");
}
