//! The scripts by themselves: what each takes, and what it refuses.

use std::sync::LazyLock;

use ::redis::Script;
use holdfast_resilience::breaker::{Mode, Reason, State};
use holdfast_testkit::Redis;

use super::{LONG, Life, at, settings};
use crate::circuits::Word;
use crate::circuits::sharing::notice::{self, Notice};
use crate::circuits::sharing::scripts::{PROBE, Request, SETTLE, TELL, WORD};

const NAME: &str = "by hand";
const NOW: std::time::Duration = std::time::Duration::ZERO;

/// Over the link of a process that has nothing to do with the circuit.
struct Steps(Life);

impl Steps {
    async fn start(redis: &Redis) -> Self {
        Self(Life::start(&at(redis.address()), settings(LONG, 1)).await)
    }

    fn of(&self, script: &'static LazyLock<Script>) -> Request {
        self.0.circuits.sharing.as_ref().expect("there is a Redis").keys.of(script, NAME)
    }

    async fn send(&self, request: Request) -> ::redis::Value {
        let link = self.0.circuits.sharing.as_ref().and_then(|sharing| sharing.link.lock().clone());
        request.send(&mut link.expect("it has joined")).await.expect("it answers")
    }

    async fn change(&self, request: Request) -> (bool, Notice) {
        let (taken, notice) = notice::of_change(&self.send(request).await).expect("ours");
        (taken, notice.expect("it is known"))
    }

    async fn tell(&self, seen: u64, state: State, left: std::time::Duration) -> (bool, Notice) {
        let request = self.of(&TELL).number(seen).arg(notice::name(state)).micros(left).number(1_u64);
        self.change(request.json(&Reason::ProbeFailed)).await
    }

    async fn probe(&self, id: &str, probes: u64, patience: std::time::Duration) -> (bool, Notice) {
        let request = self.of(&PROBE).arg(id).number(probes).micros(patience).number(1_u64);
        let answer = self.send(request.json(&Reason::OpenTimePassed)).await;
        let (granted, _, notice) = notice::of_probe(&answer).expect("ours");
        (granted, notice.expect("it is known"))
    }

    async fn settle(&self, id: &str, round: u64, probes: u64) -> (bool, Notice) {
        let request = self.of(&SETTLE).arg(id).number(round).arg("1").number(probes);
        self.change(request.json(&Reason::ProbesSucceeded)).await
    }

    async fn word(&self, mode: Mode, stamp: i64) -> (bool, Notice) {
        let word = Word { mode, by: "ada".into(), why: String::new(), stamp };
        let request = self.of(&WORD).arg(&stamp.to_string()).arg(notice::mode(mode)).json(&word);
        let request = request.json(&Reason::Forced(mode)).arg("open").micros(LONG).number(2_u64);
        self.change(request.json(&Reason::ProbeFailed)).await
    }
}

#[tokio::test]
async fn of_two_who_tell_at_once_the_first_counts() {
    let redis = Redis::start().await;
    let steps = Steps::start(&redis).await;
    let (taken, open) = steps.tell(0, State::Open, LONG).await;
    assert_eq!((taken, open.state, open.openings), (true, State::Open, 1));
    assert!(open.left <= LONG && open.left > LONG / 2);
    let (taken, still) = steps.tell(0, State::Closed, NOW).await;
    assert_eq!((taken, still.version, still.state), (false, open.version, State::Open));
    let (taken, closed) = steps.tell(open.version, State::Closed, NOW).await;
    assert!(taken && closed.version > open.version && closed.state == State::Closed);
}

#[tokio::test]
async fn probes_pass_by_number_and_those_that_are_silent_for_too_long_are_given_to_others() {
    let redis = Redis::start().await;
    let steps = Steps::start(&redis).await;
    steps.tell(0, State::Open, LONG).await;
    assert!(!steps.probe("early", 2, LONG).await.0, "its open time has not passed");
    let (_, open) = steps.probe("early", 2, LONG).await;
    steps.tell(open.version, State::Open, NOW).await;
    let (granted, half) = steps.probe("a", 2, LONG).await;
    assert!(granted && half.state == State::HalfOpen);
    assert!(steps.probe("silent", 2, NOW).await.0);
    assert!(steps.probe("b", 2, LONG).await.0, "in place of the silent one");
    assert!(!steps.probe("c", 2, LONG).await.0);

    assert!(!steps.settle("silent", half.version, 2).await.0);
    assert!(!steps.settle("a", half.version, 2).await.0, "one of two, for the silent one does not count any more");
    assert!(!steps.probe("c", 2, LONG).await.0, "one has succeeded, one is under way");
    let (closed, standing) = steps.settle("b", half.version, 2).await;
    assert!(closed && standing.state == State::Closed && standing.openings == 0);
}

#[tokio::test]
async fn a_success_of_another_half_open_does_not_count() {
    let redis = Redis::start().await;
    let steps = Steps::start(&redis).await;
    steps.tell(0, State::Open, NOW).await;
    let (_, half) = steps.probe("a", 2, LONG).await;
    assert!(steps.probe("b", 2, LONG).await.0);
    assert!(!steps.settle("a", half.version - 1, 2).await.0);
    assert!(!steps.settle("b", half.version, 2).await.0, "it is the first that counts");
}

#[tokio::test]
async fn an_older_word_changes_nothing_and_a_release_begins_by_probing_what_was_held_open() {
    let redis = Redis::start().await;
    let steps = Steps::start(&redis).await;
    let (taken, held) = steps.word(Mode::ForcedOpen, 20).await;
    assert_eq!((taken, held.state, held.openings), (true, State::Open, 2), "as its teller has it");
    assert!(!steps.probe("a", 1, LONG).await.0, "nothing passes that an operator holds");
    for stamp in [10, 20] {
        let (taken, still) = steps.word(Mode::ForcedClosed, stamp).await;
        assert_eq!((taken, still.version, still.word.map(|word| word.stamp)), (false, held.version, Some(20)));
    }
    let (taken, auto) = steps.word(Mode::Auto, 30).await;
    assert!(taken && auto.state == State::HalfOpen && auto.version > held.version);
    assert!(steps.probe("a", 1, LONG).await.0);
    steps.word(Mode::ForcedClosed, 40).await;
    assert_eq!(steps.word(Mode::Auto, 50).await.1.state, State::Closed);
}
