use proptest::prelude::*;

use super::*;

const TERMS: Terms =
    Terms { rate: Some(10.0), burst: 5, calls_max: 3, waits_max: 2, workers_max: 2, leased_max: 4, ..Terms::WIDE };

fn desk() -> Desk {
    Desk::new(Room { waits_max: 4, workers_max: 3 }, Agreed::same_for_all(TERMS))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn refused(desk: &mut Desk, now: Duration, tenant: &str, kind: Kind) -> Refusal {
    desk.enter(now, tenant, kind).expect_err("it must be refused")
}

/// A call that is over at once.
fn pass(desk: &mut Desk, now: Duration, tenant: &str) -> Result<(), Refusal> {
    let member = desk.enter(now, tenant, Kind::Call)?;
    desk.leave(now, &member.name, Kind::Call);
    Ok(())
}

#[test]
fn past_its_rate_a_tenant_is_told_exactly_when_there_is_a_token_and_others_are_not_slowed() {
    let mut desk = desk();
    (0..5).for_each(|_| pass(&mut desk, ms(7), "flood").expect("the burst"));
    let refusal = refused(&mut desk, ms(7), "flood", Kind::Call);
    assert_eq!(refusal, Refusal { limit: Limit::Rate, retry_after: ms(100) });
    assert!(pass(&mut desk, ms(106), "flood").is_err(), "not a millisecond sooner");
    pass(&mut desk, ms(107), "flood").expect("as it was told");
    pass(&mut desk, ms(107), "other").expect("another tenant has its own");
}

#[test]
fn a_tenants_calls_in_hand_are_bounded_and_a_refused_one_takes_no_token() {
    let mut desk = desk();
    let calls: Vec<_> = (0..3).map(|_| desk.enter(ms(0), "a", Kind::Call).expect("a place")).collect();
    for _ in 0..10 {
        assert_eq!(refused(&mut desk, ms(0), "a", Kind::Call).limit, Limit::Calls);
    }
    calls.iter().for_each(|member| desk.leave(ms(0), &member.name, Kind::Call));
    for _ in 0..2 {
        pass(&mut desk, ms(0), "a").expect("two of five tokens are left");
    }
}

#[test]
fn waiters_take_no_place_of_submitters_and_no_other_tenants_room() {
    let mut desk = desk();
    for _ in 0..2 {
        desk.enter(ms(0), "a", Kind::Wait).expect("room to wait");
    }
    assert_eq!(refused(&mut desk, ms(0), "a", Kind::Wait).limit, Limit::Waits);
    (0..3).for_each(|_| drop(desk.enter(ms(0), "a", Kind::Call).expect("calls have places of their own")));
    for _ in 0..2 {
        desk.enter(ms(0), "b", Kind::Wait).expect("room for another tenant");
    }
    assert_eq!(refused(&mut desk, ms(0), "c", Kind::Wait).limit, Limit::AllWaits);
    pass(&mut desk, ms(0), "c").expect("whoever waits, a call gets in");
}

#[test]
fn work_has_no_rate_and_room_of_its_own_of_which_no_tenant_takes_all() {
    let mut desk = desk();
    while pass(&mut desk, ms(0), "a").is_ok() {}
    for _ in 0..2 {
        desk.enter(ms(0), "a", Kind::Worker).expect("a tenant past its rate still works");
    }
    assert_eq!(refused(&mut desk, ms(0), "a", Kind::Worker).limit, Limit::Workers);
    let other = desk.enter(ms(0), "b", Kind::Worker).expect("room for another tenant");
    assert_eq!(refused(&mut desk, ms(0), "c", Kind::Worker).limit, Limit::AllWorkers);
    desk.leave(ms(0), &other.name, Kind::Worker);
    desk.enter(ms(0), "c", Kind::Worker).expect("a place is free");
}

#[test]
fn calls_under_a_lease_are_bounded_for_each_tenant_and_a_report_passes_where_they_have_taken_all() {
    let mut desk = desk();
    while pass(&mut desk, ms(0), "a").is_ok() {}
    for _ in 0..4 {
        desk.enter(ms(0), "a", Kind::Leased).expect("a tenant past its rate finishes its work");
    }
    assert_eq!(refused(&mut desk, ms(0), "a", Kind::Leased).limit, Limit::Leased);
    let report = desk.enter(ms(0), "a", Kind::Report).expect("a place that no other call can take");
    assert_eq!(refused(&mut desk, ms(0), "a", Kind::Report).limit, Limit::Leased);
    desk.leave(ms(0), &report.name, Kind::Report);
    assert_eq!(refused(&mut desk, ms(0), "a", Kind::Leased).limit, Limit::Leased);
    desk.enter(ms(0), "b", Kind::Leased).expect("another tenant has its own");
}

#[test]
fn a_full_table_tells_at_what_pace_places_become_free() {
    let mut desk = desk();
    let waits: Vec<_> = (0..2).map(|_| desk.enter(ms(0), "a", Kind::Wait).expect("room")).collect();
    desk.leave(ms(0), &waits[0].name, Kind::Wait);
    desk.leave(ms(400), &waits[1].name, Kind::Wait);
    (0..2).for_each(|_| drop(desk.enter(ms(400), "a", Kind::Wait).expect("room")));
    assert_eq!(refused(&mut desk, ms(400), "a", Kind::Wait).retry_after, ms(400));
}

#[test]
fn tenants_that_are_gone_are_forgotten_and_lose_nothing_by_it() {
    let mut desk = desk();
    for tenant in 0..1_000 {
        pass(&mut desk, ms(0), &tenant.to_string()).expect("in");
    }
    let kept = desk.enter(ms(0), "kept", Kind::Worker).expect("in");
    let unread = desk.enter(ms(0), "unread", Kind::Call).expect("in");
    assert!(unread.unread.take(1), "a connection holds its answer");
    desk.leave(ms(0), "unread", Kind::Call);
    // Before its bucket is full again, forgetting a tenant would give it a second burst.
    (0..5).for_each(|_| pass(&mut desk, ms(9_999), "spent").expect("the burst"));
    pass(&mut desk, ms(10_000), "x").expect("in");
    assert_eq!(desk.tenants.len(), 4, "those with calls, with bytes, and with an empty bucket");
    assert!(pass(&mut desk, ms(10_000), "spent").is_err(), "it is known");
    desk.leave(ms(10_000), &kept.name, Kind::Worker);
    unread.unread.give_back(1);
    pass(&mut desk, ms(30_000), "x").expect("in");
    assert_eq!(desk.tenants.len(), 1);
}

#[test]
fn the_table_is_bounded_by_those_who_are_there() {
    let mut desk =
        Desk::new(Room { waits_max: 4, workers_max: usize::MAX }, Agreed::same_for_all(Terms { rate: None, ..TERMS }));
    for tenant in 0..TENANTS_MAX {
        desk.enter(ms(0), &tenant.to_string(), Kind::Worker).expect("in");
    }
    assert_eq!(refused(&mut desk, ms(0), "one more", Kind::Worker).limit, Limit::Tenants);
    desk.leave(ms(0), "0", Kind::Worker);
    desk.enter(ms(0), "one more", Kind::Worker).expect("a place is free");
}

proptest! {
    #[test]
    fn every_place_comes_back_whatever_happens(steps in prop::collection::vec((0..3_usize, 0..5_usize, 0..200_u64), 1..200)) {
        let mut desk = desk();
        let (mut now, mut held) = (Duration::ZERO, Vec::new());
        for (tenant, kind, passed) in steps {
            now += ms(passed);
            let kind = [Kind::Call, Kind::Wait, Kind::Worker, Kind::Leased, Kind::Report][kind];
            if let Ok(member) = desk.enter(now, ["a", "b", "c"][tenant], kind) {
                held.push((member, kind));
            }
            if passed % 3 == 0 && let Some((member, kind)) = held.pop() {
                desk.leave(now, &member.name, kind);
            }
            prop_assert!(desk.waits.taken <= 4 && desk.workers.taken <= 3);
            prop_assert!(desk.tenants.values().all(|t| t.calls.taken <= 3 && t.waits.taken <= 2));
            prop_assert!(desk.tenants.values().all(|t| t.workers.taken <= 2 && t.leased.taken <= 5));
        }
        held.into_iter().for_each(|(member, kind)| desk.leave(now, &member.name, kind));
        pass(&mut desk, now + Duration::from_secs(60), "a").expect("in");
        prop_assert_eq!((desk.waits.taken, desk.workers.taken, desk.tenants.len()), (0, 0, 1));
    }
}
