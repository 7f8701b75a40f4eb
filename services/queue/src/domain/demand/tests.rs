use super::*;
use crate::domain::schedule::tests::entry;
use crate::domain::time::Moment;

fn schedule(entries: &[(u128, &str, &str)]) -> Schedule {
    let mut schedule = Schedule::default();
    for (seq, tenant, agent) in entries {
        schedule.accept(entry(*seq, tenant, agent), Moment(0));
    }
    schedule
}

fn worker(n: u128) -> WorkerId {
    Uuid::from_u128(1_000 + n)
}

#[test]
fn credits_bound_what_a_worker_gets() {
    let mut schedule = schedule(&[(1, "t", "a"), (2, "t", "a"), (3, "t", "a")]);
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], None, 2);
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true).len(), 2);
    assert!(demand.pair(&mut schedule, 100, |_, _| true).is_empty());
    demand.add(worker(1), 5);
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true).len(), 1);
    assert_eq!(demand.leave(worker(1)), 4);
}

#[test]
fn bytes_that_are_promised_and_not_yet_on_their_way_bound_what_a_worker_gets() {
    let all: Vec<(u128, &str, &str)> = (1..=20).map(|seq| (seq, "t", "a")).collect();
    let mut schedule = schedule(&all);
    let each = schedule.get(Uuid::from_u128(1)).unwrap().bytes;
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], None, 100);
    let takes = |_, promised| promised < 3 * (each + PROMISE_BYTES);
    assert_eq!(demand.reserve(("a", "t"), each, takes), Some(worker(1)));
    assert_eq!(demand.pair(&mut schedule, 100, takes).len(), 2);
    assert_eq!(demand.reserve(("a", "t"), each, takes), None);
    assert!(demand.pair(&mut schedule, 100, takes).is_empty());
    demand.answered(worker(1), each);
    assert_eq!(demand.pair(&mut schedule, 100, takes).len(), 1, "by itself it comes back into the line");
}

#[test]
fn workers_of_one_type_take_turns() {
    let mut schedule = schedule(&[(1, "t", "a"), (2, "t", "a"), (3, "t", "a"), (4, "t", "a")]);
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], None, 10);
    demand.join(worker(2), vec!["a".into(), "b".into()], None, 10);
    let pairs = demand.pair(&mut schedule, 100, |_, _| true);
    assert_eq!(pairs.iter().filter(|(id, _)| *id == worker(1)).count(), 2);
}

#[test]
fn a_worker_of_one_tenant_gets_nothing_of_another() {
    let mut schedule = schedule(&[(1, "mine", "a"), (2, "theirs", "a"), (3, "theirs", "a")]);
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], Some("mine".into()), 10);
    let pairs = demand.pair(&mut schedule, 100, |_, _| true);
    assert_eq!(pairs, [(worker(1), Uuid::from_u128(1))]);
    demand.join(worker(2), vec!["a".into()], None, 10);
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true).len(), 2);
}

#[test]
fn a_worker_that_cannot_take_gets_its_share_later() {
    let mut schedule = schedule(&[(1, "t", "a")]);
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], None, 1);
    assert!(demand.pair(&mut schedule, 100, |_, _| false).is_empty());
    demand.resume();
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true).len(), 1);
}

#[test]
fn a_reservation_takes_a_credit_of_the_first_who_may_have_it() {
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into()], Some("theirs".into()), 1);
    demand.join(worker(2), vec!["a".into()], None, 1);
    assert_eq!(demand.reserve(("b", "mine"), 1, |_, _| true), None);
    assert_eq!(demand.reserve(("a", "mine"), 1, |_, _| false), None);
    demand.resume();
    assert_eq!(demand.reserve(("a", "mine"), 1, |_, _| true), Some(worker(2)));
    assert_eq!(demand.reserve(("a", "mine"), 1, |_, _| true), None, "no credit is left");
    assert_eq!(demand.reserve(("a", "theirs"), 1, |_, _| true), Some(worker(1)));
}

#[test]
fn room_that_comes_back_is_listed_once() {
    let mut schedule = Schedule::default();
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into(), "b".into()], None, 1);
    schedule.accept(entry(1, "t", "a"), Moment(0));
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true).len(), 1);
    for _ in 0..3 {
        demand.add(worker(1), 1);
    }
    assert_eq!(demand.lines.longest(), 1);
}

#[test]
fn a_worker_for_several_types_is_not_always_given_the_same() {
    let backlog: Vec<_> = (0..60).map(|seq| (seq, "t", ["a", "b", "c"][seq as usize % 3])).collect();
    let mut schedule = schedule(&backlog);
    let mut demand = Demand::default();
    // Another worker's turns must not decide which of its types the first one gets.
    demand.join(worker(1), vec!["a".into(), "b".into(), "c".into()], None, 0);
    demand.join(worker(2), vec!["a".into()], None, 0);
    let mut given = [0; 3];
    for _ in 0..15 {
        demand.add(worker(1), 1);
        demand.add(worker(2), 1);
        for (to, id) in demand.pair(&mut schedule, 100, |_, _| true) {
            if to == worker(1) {
                given[(id.as_u128() % 3) as usize] += 1;
            }
        }
    }
    assert_eq!(given, [5, 5, 5]);
}

#[test]
fn work_finds_its_tenants_worker_among_many_that_may_not_have_it() {
    let mut demand = Demand::default();
    for n in 0..1_000 {
        demand.join(worker(n), vec!["a".into()], Some(format!("t{n}").into()), 1);
    }
    let mut schedule = Schedule::default();
    assert!(demand.pair(&mut schedule, 100, |_, _| true).is_empty());
    assert_eq!(demand.awake.len(), 0, "nothing is looked at again before something comes");
    schedule.accept(entry(1, "t700", "a"), Moment(0));
    assert_eq!(demand.pair(&mut schedule, 100, |_, _| true), [(worker(700), Uuid::from_u128(1))]);
}

#[test]
fn nothing_that_is_left_over_by_a_bound_is_forgotten() {
    let mut schedule = schedule(&[(1, "t", "a"), (2, "t", "a"), (3, "t", "b")]);
    let mut demand = Demand::default();
    demand.join(worker(1), vec!["a".into(), "b".into()], None, 10);
    let rounds: Vec<usize> = (0..4).map(|_| demand.pair(&mut schedule, 1, |_, _| true).len()).collect();
    assert_eq!(rounds, [1, 1, 1, 0]);
}
