use std::time::Duration;

use super::*;

pub(crate) fn entry(seq: u128, tenant: &str, agent: &str) -> Entry {
    Entry {
        id: Uuid::from_u128(seq),
        seq: seq as i64,
        agent: agent.into(),
        tenant: tenant.into(),
        turn: 0,
        place: None,
        ready_at: None,
        deadline: None,
        accepted_at: Moment(0),
        bytes: 10,
    }
}

fn in_session(seq: u128, session: i64) -> Entry {
    Entry { place: Some(Place { session, order: seq as i64 }), ..entry(seq, "t", "a") }
}

fn id(seq: u128) -> Uuid {
    Uuid::from_u128(seq)
}

const START: Moment = Moment(0);

#[test]
fn the_oldest_goes_first_and_priority_before_age() {
    let mut schedule = Schedule::default();
    schedule.accept(entry(1, "t", "a"), START);
    schedule.accept(entry(2, "t", "a"), START);
    schedule.accept(Entry { turn: -5, ..entry(3, "t", "a") }, START);
    let order: Vec<_> = std::iter::from_fn(|| schedule.take("a", None)).collect();
    assert_eq!(order, [id(3), id(1), id(2)]);
}

#[test]
fn a_tenant_that_floods_does_not_starve_another() {
    let mut schedule = Schedule::default();
    for seq in 1..=1_000 {
        schedule.accept(entry(seq, "flood", "a"), START);
    }
    schedule.accept(entry(2_000, "small", "a"), START);
    let first: Vec<_> = (0..2).filter_map(|_| schedule.take("a", None)).collect();
    assert!(first.contains(&id(2_000)));
}

#[test]
fn a_session_runs_one_at_a_time_in_order_whatever_the_priorities() {
    let mut schedule = Schedule::default();
    schedule.accept(in_session(1, 7), START);
    schedule.accept(Entry { turn: -100, ..in_session(2, 7) }, START);
    assert_eq!(schedule.take("a", None), Some(id(1)));
    assert_eq!(schedule.take("a", None), None);
    schedule.leased(id(1));
    assert_eq!(schedule.take("a", None), None);
    schedule.ended(id(1), START);
    assert_eq!(schedule.take("a", None), Some(id(2)));
}

#[test]
fn a_delayed_head_holds_its_followers() {
    let mut schedule = Schedule::default();
    schedule.accept(Entry { ready_at: Some(Moment(50)), ..in_session(1, 7) }, START);
    schedule.accept(in_session(2, 7), START);
    assert_eq!(schedule.take("a", None), None);
    assert_eq!(schedule.next_due(), Some(Moment(50)));
    assert!(schedule.due(Moment(50)).is_empty());
    assert_eq!(schedule.take("a", None), Some(id(1)));
    // It backs off: the follower still waits.
    schedule.leased(id(1));
    schedule.requeued(id(1), Some(Moment(90)), Moment(60));
    assert_eq!(schedule.take("a", None), None);
    schedule.ended(id(1), Moment(70));
    assert_eq!(schedule.take("a", None), Some(id(2)));
}

#[test]
fn expired_work_never_starts() {
    let mut schedule = Schedule::default();
    schedule.accept(Entry { deadline: Some(Moment(30)), ..entry(1, "t", "a") }, START);
    schedule.accept(Entry { deadline: Some(Moment(30)), ..in_session(2, 7) }, START);
    schedule.accept(in_session(3, 7), START);
    assert_eq!(schedule.due(Moment(30)), [id(1), id(2)]);
    assert_eq!(schedule.take("a", None), None);
    assert!(schedule.due(Moment(31)).is_empty(), "each comes once");
    schedule.expire_again(id(1), Moment(40));
    assert_eq!(schedule.due(Moment(40)), [id(1)]);
    schedule.ended(id(1), Moment(41));
    schedule.ended(id(2), Moment(41));
    assert_eq!(schedule.take("a", None), Some(id(3)));
}

#[test]
fn work_that_comes_back_after_its_deadline_does_not_start_again() {
    let mut schedule = Schedule::default();
    schedule.accept(Entry { deadline: Some(Moment(30)), ..entry(1, "t", "a") }, START);
    let taken = schedule.take("a", None).unwrap();
    schedule.leased(taken);
    assert_eq!(schedule.due(Moment(30)), [taken]);
    // The store could not record it, and the worker hands it back meanwhile.
    schedule.expire_again(taken, Moment(40));
    schedule.requeued(taken, None, Moment(35));
    assert_eq!(schedule.take("a", None), None);
    assert_eq!(schedule.due(Moment(40)), [taken]);
}

#[test]
fn the_oldest_is_that_of_what_waits() {
    let mut schedule = Schedule::default();
    schedule.accept(entry(1, "t", "a"), START);
    schedule.accept(Entry { accepted_at: Moment(5), ..entry(2, "t", "a") }, START);
    let taken = schedule.take("a", None).unwrap();
    assert_eq!(schedule.oldest("a", None), Some(START), "a promise is no lease yet");
    schedule.leased(taken);
    assert_eq!(schedule.oldest("a", Some("t")), Some(Moment(5)));
    assert_eq!(schedule.oldest("a", Some("another")), None, "nothing crosses tenants");
    schedule.requeued(taken, None, START);
    assert_eq!(schedule.oldest("a", None), Some(START));
}

#[test]
fn a_promise_that_was_not_kept_is_ready_again() {
    let mut schedule = Schedule::default();
    schedule.accept(entry(1, "t", "a"), START);
    assert_eq!(schedule.take("a", None), Some(id(1)));
    schedule.requeued(id(1), None, START);
    assert_eq!(schedule.take("a", None), Some(id(1)));
}

#[test]
fn what_is_forgotten_is_as_if_it_had_never_come() {
    let mut schedule = Schedule::default();
    for seq in 1..=3 {
        schedule.accept(entry(seq, "t", "a"), START);
    }
    schedule.accept(entry(3, "t", "a"), START);
    assert_eq!(schedule.len_of("a", "t"), 3, "one that is there does not come again");
    assert_eq!(schedule.forget(id(1)).map(|entry| entry.id), Some(id(1)));
    assert!(schedule.forget(id(1)).is_none());
    assert_eq!(schedule.take("a", None), Some(id(2)));
    assert_eq!(schedule.len_of("a", "t"), 1);
    // One that was taken is forgotten when its lease is confirmed elsewhere.
    assert!(schedule.forget(id(2)).is_some());
    assert!(schedule.forget(id(3)).is_some());
    assert_eq!((schedule.len_of("a", "t"), schedule.has_ready("a"), schedule.get(id(2)).is_none()), (0, false, true));
    assert!(schedule.agents.is_empty() && schedule.woken.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn times_are_measured_not_read() {
    assert_eq!(Moment(5).after(Duration::from_micros(3)), Moment(8));
    assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
}
