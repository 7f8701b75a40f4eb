//! What the ledger owes the living and the dead, rule by rule. Clocks are those of two members, `a` and `b`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    model::Model,
    world::{MS, SECOND},
};
use crate::{
    domain::Counted,
    sharing::round::{Answer, Line, MemberId, Round, Said},
};

const LIMIT: u64 = 100;
/// A slice of it is 10 ms.
const WINDOW: Duration = Duration::from_secs(10);

/// What a member tells of its one limit.
fn line(counted: Counted) -> Line {
    Line {
        name: "k/Requests".into(),
        counted,
        limit: LIMIT,
        group: 0,
        over: 0,
        settled: 0,
        settled_at: 0,
        returned: 0,
        want: 0,
        chunk: 0,
        corrections: Vec::new(),
    }
}

fn id(name: &str) -> MemberId {
    MemberId(name.into())
}

/// A ledger that `a` has joined, and whose first window is over by its clock of 12 s.
fn ledger(counted: Counted) -> Model {
    let mut ledger = Model::default();
    assert_eq!(say(&mut ledger, "a", SECOND, None, line(counted)).free, 0, "nobody knows what was used before");
    ledger
}

/// A round of a member that knows how far the other's clock has come.
fn ask(ledger: &mut Model, member: &str, clock: u64, other: Option<u64>, line: Line) -> Answer {
    let others = other.map(|clock| (id(if member == "a" { "b" } else { "a" }), clock));
    let joins = clock <= SECOND;
    ledger
        .round(&Round { member: id(member), joins, clock, others: others.into_iter().collect(), limits: vec![line] })
        .0
}

fn say(ledger: &mut Model, member: &str, clock: u64, other: Option<u64>, line: Line) -> Said {
    match ask(ledger, member, clock, other, line) {
        Answer::Taken { limits, .. } => limits[0],
        answer => panic!("{member} at {clock}: {answer:?}"),
    }
}

#[test]
fn what_a_dead_member_had_in_hand_counts_for_one_window_from_when_it_is_taken_for_dead() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    assert_eq!(say(&mut ledger, "a", 12 * SECOND, None, Line { want: 40, ..requests() }).granted, 40);
    for gone_by in [100, 500, 900, 1_300, 1_499] {
        let said = say(&mut ledger, "b", gone_by * MS, Some((12_000 + gone_by) * MS), requests());
        assert_eq!((said.free, said.used), (60, 0), "it may be alive");
    }
    let said = say(&mut ledger, "b", 1_500 * MS, Some(13_500 * MS), requests());
    assert_eq!((said.free, said.used), (60, 40), "counted as used now");
    assert_eq!(
        say(&mut ledger, "b", 11_500 * MS, Some(23_500 * MS), requests()).free,
        60,
        "a window has both its ends"
    );
    assert_eq!(say(&mut ledger, "b", 11_510 * MS, Some(23_510 * MS), requests()).free, 100);
}

#[test]
fn whoever_was_silent_for_less_is_alive_and_for_longer_joins_anew() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: 10, ..requests() });
    say(&mut ledger, "b", 100 * MS, Some(13_499 * MS), requests());
    say(&mut ledger, "a", 13_499 * MS, None, requests());
    say(&mut ledger, "b", 200 * MS, Some(14_999 * MS), requests());
    assert_eq!(ask(&mut ledger, "a", 15_500 * MS, None, requests()), Answer::Dead);
}

#[test]
fn what_is_used_counts_to_the_end_of_the_slice_in_which_its_window_ends() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: 10, ..requests() });
    let told = Line { settled: 10, settled_at: 12_001 * MS, ..requests() };
    assert_eq!(say(&mut ledger, "a", 12_100 * MS, None, told.clone()).used, 10);
    assert_eq!(say(&mut ledger, "a", 22_001 * MS, None, told.clone()).used, 10);
    assert_eq!(say(&mut ledger, "a", 22_009 * MS, None, told.clone()).used, 10);
    assert_eq!(say(&mut ledger, "a", 22_010 * MS, None, told).used, 0);
}

#[test]
fn what_comes_late_or_twice_changes_nothing() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: 10, ..requests() });
    let told = Line { settled: 4, settled_at: 12_050 * MS, ..requests() };
    say(&mut ledger, "a", 12_100 * MS, None, told.clone());
    let doubled = Line { want: 50, corrections: vec![(12_050 * MS, 4)], ..told.clone() };
    assert_eq!(ask(&mut ledger, "a", 12_100 * MS, None, doubled.clone()), Answer::Stale);
    assert_eq!(ask(&mut ledger, "a", 12_050 * MS, None, doubled), Answer::Stale);
    let said = say(&mut ledger, "a", 12_200 * MS, None, told);
    assert_eq!((said.granted, said.used, said.free), (10, 4, 90));
}

#[test]
fn a_correction_takes_from_its_own_time_or_from_none() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: 30, ..requests() });
    say(&mut ledger, "a", 12_100 * MS, None, Line { settled: 10, settled_at: 12_100 * MS, ..requests() });
    say(&mut ledger, "a", 20 * SECOND, None, Line { settled: 20, settled_at: 20 * SECOND, ..requests() });
    let told = Line { settled: 20, settled_at: 20 * SECOND, ..requests() };
    let corrected = Line { corrections: vec![(12_100 * MS, 3)], ..told.clone() };
    assert_eq!(say(&mut ledger, "a", 21 * SECOND, None, corrected.clone()).used, 17);
    assert_eq!(say(&mut ledger, "a", 22_500 * MS, None, told).used, 10, "it took of the earlier");
    assert_eq!(say(&mut ledger, "a", 23 * SECOND, None, corrected).used, 10, "and too late it takes of nothing else");
}

#[test]
fn the_places_of_the_dead_are_free_at_once() {
    let places = || line(Counted::Places);
    let mut ledger = ledger(Counted::Places);
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: LIMIT, ..places() });
    for gone_by in [100, 500, 900, 1_300, 1_499] {
        assert_eq!(say(&mut ledger, "b", gone_by * MS, Some((12_000 + gone_by) * MS), places()).free, 0);
    }
    assert_eq!(say(&mut ledger, "b", 1_500 * MS, Some(13_500 * MS), places()).free, LIMIT);
}

#[test]
fn whoever_comes_first_in_turn_finds_enough_set_aside() {
    let requests = || line(Counted::Window(WINDOW));
    let mut ledger = ledger(Counted::Window(WINDOW));
    say(&mut ledger, "a", 12 * SECOND, None, Line { want: 60, chunk: 60, ..requests() });
    say(&mut ledger, "b", 100 * MS, Some(12_100 * MS), Line { want: 50, chunk: 50, ..requests() });
    // Of the forty that are free a small call of the other would take some each time.
    let wants = Line { want: 20, chunk: 20, ..requests() };
    assert_eq!(say(&mut ledger, "a", 12_200 * MS, Some(200 * MS), wants.clone()).granted, 60);
    let told = Line { returned: 20, want: 20, chunk: 20, ..requests() };
    assert_eq!(
        say(&mut ledger, "a", 12_300 * MS, Some(300 * MS), told).granted,
        60,
        "sixty are free: fifty are another's"
    );
    assert_eq!(
        say(&mut ledger, "b", 400 * MS, Some(12_400 * MS), Line { want: 50, chunk: 50, ..requests() }).granted,
        50
    );
}

#[test]
fn a_limit_that_the_ledger_meets_later_begins_as_spent_too() {
    let mut ledger = ledger(Counted::Window(WINDOW));
    let other = Line { name: "k/Tokens".into(), ..line(Counted::Window(WINDOW)) };
    assert_eq!(say(&mut ledger, "a", 12 * SECOND, None, other.clone()).free, 0);
    assert_eq!(say(&mut ledger, "a", 22_020 * MS, None, other).free, LIMIT);
    let unknown = Round {
        member: id("c"),
        joins: false,
        clock: SECOND,
        others: BTreeMap::new(),
        limits: vec![line(Counted::Window(WINDOW))],
    };
    assert_eq!(ledger.round(&unknown).0, Answer::Unknown);
}
