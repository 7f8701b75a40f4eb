//! The line by examples, by what fair queueing promises, and against a plain model.

mod model;
mod shares;

use std::time::Duration;

use super::*;
use crate::domain::pool::Need;

const AGEING: Duration = Duration::from_secs(10);

pub(super) fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn line() -> Line {
    Line::new(Bounds { calls: 100_000, bytes: usize::MAX }, AGEING)
}

/// What a tenant wants in a lane, with a weight of 1.
pub(super) fn want(tenant: &str, lane: u16, tokens: u64) -> Want {
    Want {
        lane: Lane(lane),
        tenant: tenant.into(),
        weight: 1,
        priority: 0,
        need: Need { input: tokens, output: 0 },
        counted: None,
        bytes: 1,
        deadline: None,
        start_by: None,
    }
}

pub(super) fn wait(line: &mut Line, now: Duration, want: Want) -> Ticket {
    let ticket = line.ticket(now, &want);
    line.join(ticket, want);
    ticket
}

/// The next one starts: who it is.
pub(super) fn start(line: &mut Line, blocked: &Blocked) -> Option<(Waiter, Charge)> {
    let waiter = line.next(blocked)?;
    line.leave(&waiter.ticket);
    let charge = line.served(&waiter.want);
    Some((waiter, charge))
}

fn names(line: &mut Line, count: usize) -> String {
    (0..count).filter_map(|_| Some(start(line, &Blocked::default())?.0.want.tenant.to_string())).collect()
}

#[test]
fn a_tenants_calls_go_by_priority_then_deadline_then_arrival() {
    let mut line = line();
    let late = wait(&mut line, at(100), Want { deadline: Some(at(900)), ..want("a", 0, 1) });
    let none = wait(&mut line, at(200), want("a", 0, 1));
    let soon = wait(&mut line, at(300), Want { deadline: Some(at(500)), ..want("a", 0, 1) });
    let last = wait(&mut line, at(400), want("a", 0, 1));
    let urgent = wait(&mut line, at(500), Want { priority: 1, ..want("a", 0, 1) });
    let order: Vec<_> = std::iter::from_fn(|| Some(start(&mut line, &Blocked::default())?.0.ticket)).collect();
    assert_eq!(order, [urgent, soon, late, none, last]);
}

#[test]
fn a_point_of_priority_is_worth_its_ageing_and_no_more() {
    let mut line = line();
    let old = wait(&mut line, at(0), want("a", 0, 1));
    let urgent = wait(&mut line, at(11_000), Want { priority: 1, ..want("a", 0, 1) });
    let sooner = wait(&mut line, at(8_000), Want { priority: 1, ..want("a", 0, 1) });
    let order: Vec<_> = std::iter::from_fn(|| Some(start(&mut line, &Blocked::default())?.0.ticket)).collect();
    assert_eq!(order, [sooner, old, urgent]);
}

#[test]
fn who_was_away_has_neither_saved_up_nor_to_pay() {
    let mut line = line();
    (0..50).for_each(|_| _ = wait(&mut line, at(0), want("a", 0, 100)));
    assert_eq!(names(&mut line, 10), "aaaaaaaaaa");
    (0..50).for_each(|_| _ = wait(&mut line, at(0), want("b", 0, 100)));
    // One call of a's stands at the same time as b's first.
    assert_eq!(names(&mut line, 8), "babababa");
}

#[test]
fn who_reserves_much_and_uses_little_pays_what_it_uses() {
    let mut line = line();
    for _ in 0..2_000 {
        wait(&mut line, at(0), want("a", 0, 4_096));
        wait(&mut line, at(0), want("b", 0, 100));
    }
    let mut used = [0, 0];
    let mut flying = std::collections::VecDeque::new();
    for _ in 0..2_000 {
        let (waiter, charge) = start(&mut line, &Blocked::default()).expect("both wait");
        used[usize::from(&*waiter.want.tenant == "b")] += 100;
        flying.push_back(charge);
        if flying.len() > 20 {
            line.settled(flying.pop_front().expect("there are more"), Some(100));
        }
    }
    let [a, b] = used.map(f64::from);
    assert!((a / b - 1.0).abs() < 0.05, "{a} and {b}");
}

#[test]
fn what_waits_in_a_lane_is_the_sum_of_its_calls() {
    let mut line = line();
    let tickets: Vec<_> =
        (0..40_u16).map(|call| wait(&mut line, at(0), want(["a", "b"][usize::from(call % 2)], call % 3, 7))).collect();
    for (gone, ticket) in tickets.iter().enumerate() {
        for lane in (0..4).map(Lane) {
            let sum: Load = line.iter().filter(|waiter| waiter.want.lane == lane).map(|of| Load::of(&of.want)).sum();
            assert_eq!(line.load(lane), sum, "after {gone}");
        }
        line.leave(ticket);
    }
    assert_eq!((0..4).map(|lane| line.load(Lane(lane))).sum::<Load>(), Load::default());
}

#[test]
fn what_is_rejected_costs_its_tenant_and_teaches_nothing_and_no_call_teaches_much() {
    let mut line = line();
    let of = |line: &mut Line, used: fn(&mut Line, Charge)| {
        let charge = line.served(&want("a", 0, 1_000));
        used(line, charge);
    };
    // It is charged all until its calls have shown that they use less.
    wait(&mut line, at(0), want("b", 0, 10));
    wait(&mut line, at(0), want("a", 0, 10));
    (0..100).for_each(|_| of(&mut line, Line::rejected));
    assert_eq!(line.next(&Blocked::default()).map(|waiter| waiter.want.tenant), Some("b".into()));
    let id = line.tenants.id("a").expect("it waits");
    let expected = |line: &Line| line.tenants.get(id).expect("it is known").habit.expect(1_000);
    assert_eq!(expected(&line), 1_000);
    (0..1_000).for_each(|_| of(&mut line, |line, charge| line.settled(charge, None)));
    let charge = line.served(&want("a", 0, 1 << 39));
    line.settled(charge, Some(0));
    assert!(expected(&line) > 900, "{}", expected(&line));
}

#[test]
fn a_call_that_comes_again_stands_where_it_stood() {
    let mut line = line();
    let first = wait(&mut line, at(0), want("a", 0, 100));
    wait(&mut line, at(0), want("b", 0, 100));
    wait(&mut line, at(0), want("a", 0, 100));
    let (waiter, charge) = start(&mut line, &Blocked::default()).expect("somebody waits");
    assert_eq!(waiter.ticket, first);
    line.given_back(charge);
    assert!(line.is_ahead(&first, &waiter.want, &Blocked::default()));
    line.join(first, waiter.want);
    assert_eq!(line.next(&Blocked::default()).map(|waiter| waiter.ticket), Some(first));
}

#[test]
fn a_lane_that_is_held_up_lets_others_pass_and_is_shared_for_itself() {
    let mut line = line();
    let mut blocked = Blocked::default();
    blocked.block(Lane(1));
    for _ in 0..40 {
        wait(&mut line, at(0), want("a", 1, 100));
        wait(&mut line, at(0), want("b", 1, 100));
        wait(&mut line, at(0), want("b", 2, 100));
    }
    for _ in 0..30 {
        let (waiter, _) = start(&mut line, &blocked).expect("the other lane is open");
        assert_eq!((&*waiter.want.tenant, waiter.want.lane), ("b", Lane(2)));
    }
    // What b had elsewhere does not keep it from its half of this one.
    let mut other = Blocked::default();
    other.block(Lane(2));
    let order: String = (0..20).filter_map(|_| Some(start(&mut line, &other)?.0.want.tenant.to_string())).collect();
    assert_eq!(order.matches('b').count(), 10, "{order}");
}

#[test]
fn whoever_floods_the_line_leaves_room_for_others() {
    let mut line = Line::new(Bounds { calls: 90, bytes: 1_000_000 }, AGEING);
    while line.has_room_for(&want("a", 0, 1)) {
        wait(&mut line, at(0), want("a", 0, 1));
    }
    assert_eq!(line.len(), 81);
    assert!(line.has_room_for(&want("b", 0, 1)));
    let mut narrow = Line::new(Bounds { calls: 90, bytes: 900 }, AGEING);
    wait(&mut narrow, at(0), Want { bytes: 801, ..want("a", 0, 1) });
    assert!(!narrow.has_room_for(&want("a", 0, 1)));
    assert!(narrow.has_room_for(&Want { bytes: 99, ..want("b", 0, 1) }));
    assert!(!narrow.has_room_for(&Want { bytes: 100, ..want("b", 0, 1) }));
}

#[test]
fn nobody_is_remembered_without_a_reason() {
    let mut line = line();
    let mut charges = Vec::new();
    for tenant in 0..100 {
        wait(&mut line, at(0), want(&tenant.to_string(), 0, 100));
    }
    while let Some((_, charge)) = start(&mut line, &Blocked::default()) {
        charges.push(charge);
    }
    assert_eq!(line.tenants.len(), 100, "their calls are at work");
    charges.into_iter().for_each(|charge| line.settled(charge, Some(10_000)));
    assert_eq!(line.tenants.len(), 0);
    assert_eq!(line.common.tenants().count(), 0);
}

#[test]
fn ten_thousand_are_looked_through_in_no_time() {
    let mut line = line();
    for number in 0..10_000 {
        wait(&mut line, at(number), want(&(number % 100).to_string(), 0, 100));
    }
    let mut order = 0;
    let newcomer = want("7", 0, 100);
    let ticket = line.ticket(at(20_000), &newcomer);
    let before = line.before(&ticket, &newcomer);
    while let Some((waiter, _)) = start(&mut line, &Blocked::default()) {
        order += 1;
        if waiter.want.tenant == newcomer.tenant && line.before(&ticket, &newcomer).lane.calls <= 1 {
            break;
        }
    }
    assert!(before.all.calls.abs_diff(order) <= 100, "{before:?}, and it was {order}");
}
