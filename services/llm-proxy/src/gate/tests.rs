//! The gate's own part: who waits is woken, and who goes away leaves nothing behind.

use futures::{FutureExt, poll};

use super::*;

/// A gate before one key with one place.
fn gate(directory: &Path) -> Gate {
    let limits = Limits { requests: None, tokens: None, concurrency: Some(1), window: Duration::from_secs(60) };
    let bounds = LineBounds { calls: 10, bytes: 1_000 };
    let gauges = Gauges::new("p", ["k"].into_iter());
    Gate::open(directory, vec![("k".into(), limits)], bounds, Clock::start(), gauges).expect("the directory is there")
}

const WANT: Want = Want { tokens: 1, bytes: 1, deadline: None };

impl Gate {
    fn in_line(&self) -> usize {
        let state = self.shared.state.lock();
        assert_eq!(state.pool.in_line(), state.waiting.len(), "the line and those who wait are the same");
        state.pool.in_line()
    }
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    let place = gate.enter(WANT, None).await.expect("it is free");
    let mut first = Box::pin(gate.enter(WANT, None));
    let mut second = Box::pin(gate.enter(WANT, None));
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
    let place = gate.enter(WANT, None).await.expect("it is free");
    let mut first = Box::pin(gate.enter(WANT, None));
    let mut second = Box::pin(gate.enter(WANT, None));
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
    let mut place = gate.enter(WANT, None).await.expect("it is free");
    place.dispatch(1);
    drop(place);
    let asked = Instant::now();
    gate.enter(WANT, None).await.expect("by time alone");
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_at_the_deadline() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = gate(directory.path());
    let _place = gate.enter(WANT, None).await.expect("it is free");
    let deadline = Some(gate.at(Instant::now() + Duration::from_millis(50)));
    let refusal = gate.enter(Want { deadline, ..WANT }, None).await.expect_err("nobody leaves");
    assert_eq!(refusal.why, Why::Late);
    assert_eq!(gate.in_line(), 0);
}
