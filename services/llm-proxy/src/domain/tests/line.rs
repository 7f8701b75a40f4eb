//! The line by examples.

use super::*;

#[test]
fn a_place_that_becomes_free_goes_to_the_first_in_line() {
    let mut pool = pool(&[limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    let second = waiting(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    assert!(pool.advance(ms(1)).is_empty());
    pool.ended(ms(2), &first, DONE);
    assert!(matches!(pool.advance(ms(2)).as_slice(), [Decision::Granted(grant)] if grant.ticket == second));
}

#[test]
fn a_place_that_was_given_up_is_held_until_its_end_is_certain() {
    let mut pool = pool(&[limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    pool.ended(ms(10), &first, Ending::Uncertain);
    assert!(pool.advance(ms(1_009)).is_empty());
    assert_eq!(pool.wake_at(ms(1_009)), Some(ms(1_010)));
    assert_eq!(pool.advance(ms(1_010)).len(), 1);
}

#[test]
fn a_request_counts_until_a_window_after_its_arrival_is_certain() {
    let mut pool = pool(&[limits(Some(1), None, None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    assert_eq!(pool.wake_at(ms(5_000)), None, "nobody knows when it arrives");
    pool.sent(ms(5_000), &first);
    assert!(pool.advance(ms(5_500)).is_empty());
    assert!(pool.advance(ms(6_500)).is_empty());
    assert_eq!(pool.advance(ms(6_501)).len(), 1);
}

#[test]
fn an_answer_makes_the_arrival_certain_sooner() {
    let mut pool = pool(&[limits(Some(1), None, None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    pool.sent(ms(10), &first);
    pool.answered(ms(60), &first);
    assert!(pool.advance(ms(1_060)).is_empty());
    assert_eq!(pool.advance(ms(1_061)).len(), 1);
}

#[test]
fn a_rest_only_gets_longer() {
    let mut pool = pool(&[limits(None, None, None)]);
    let key = pool.key_ids()[0];
    pool.rest(ms(0), key, ms(7_000));
    pool.rest(ms(0), key, ms(3_000));
    waiting(pool.ask(ms(0), want(1), None));
    assert_eq!(pool.wake_at(ms(0)), Some(ms(7_000)));
    assert!(pool.advance(ms(6_999)).is_empty());
    assert_eq!(pool.advance(ms(7_000)).len(), 1);
}

#[test]
fn a_start_after_the_deadline_is_refused_with_the_time_of_the_start() {
    let mut pool = pool(&[limits(Some(2), None, None)]);
    for at in [0, 400] {
        let grant = granted(pool.ask(ms(at), want(1), None));
        pool.answered(ms(at), &grant);
        pool.ended(ms(at), &grant, DONE);
    }
    // The first place is free at 1,000 ms, the second at 1,400, the third at 2,000.
    let late = |deadline: u64| Want { deadline: Some(ms(deadline)), ..want(1) };
    let refusal = refused(pool.ask(ms(500), late(999), None));
    assert_eq!((refusal.why, refusal.retry_after.as_millis()), (Why::Late, 500));
    waiting(pool.ask(ms(500), late(1_001), None));
    waiting(pool.ask(ms(500), late(1_401), None));
    assert_eq!(refused(pool.ask(ms(500), late(1_999), None)).retry_after.as_millis(), 1_500);
    waiting(pool.ask(ms(500), late(2_001), None));
}

#[test]
fn calls_that_take_long_are_foreseen() {
    let mut pool = pool(&[limits(None, Some(2), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    pool.ended(ms(1_000), &first, DONE);
    for _ in 0..2 {
        granted(pool.ask(ms(1_000), want(1), None));
    }
    let by = |deadline: u64| Want { deadline: Some(ms(deadline)), ..want(1) };
    assert_eq!(refused(pool.ask(ms(1_000), by(1_400), None)).retry_after, ms(500));
    waiting(pool.ask(ms(1_000), by(1_600), None));
}

#[test]
fn a_rest_refuses_those_in_line_who_cannot_wait_for_it() {
    let mut pool = pool(&[limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    let hasty = waiting(pool.ask(ms(0), Want { deadline: Some(ms(2_000)), ..want(1) }, None));
    let patient = waiting(pool.ask(ms(0), Want { deadline: Some(ms(9_000)), ..want(1) }, None));
    pool.rest(ms(0), first.key, ms(7_000));
    pool.ended(ms(10), &first, Ending::Refused);
    let refusal = Refusal { why: Why::Late, retry_after: ms(6_990), starts_in: ms(6_990) };
    assert_eq!(pool.advance(ms(10)), [Decision::Refused(hasty, refusal)]);
    assert!(matches!(pool.advance(ms(7_000)).as_slice(), [Decision::Granted(grant)] if grant.ticket == patient));
}

#[test]
fn without_any_key_nobody_waits() {
    let mut pool = pool(&[limits(None, Some(1), None), limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    let second = granted(pool.ask(ms(0), want(1), None));
    let third = waiting(pool.ask(ms(0), want(1), None));
    pool.deny(ms(1), first.key, ms(60_000));
    pool.ended(ms(1), &first, Ending::Refused);
    assert!(pool.advance(ms(1)).is_empty(), "the other key may still come free");
    pool.deny(ms(2), second.key, ms(90_000));
    let refusal = Refusal { why: Why::NoKey, retry_after: ms(59_998), starts_in: ms(59_998) };
    assert_eq!(pool.advance(ms(2)), [Decision::Refused(third, refusal)]);
    assert_eq!(refused(pool.ask(ms(2), want(1), None)).why, Why::NoKey);
    granted(pool.ask(ms(60_001), want(1), None));
}

#[test]
fn who_comes_again_keeps_the_place_in_line() {
    let mut pool = pool(&[limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    pool.rest(ms(1), first.key, ms(100));
    pool.ended(ms(1), &first, Ending::Refused);
    waiting(pool.ask(ms(1), want(1), Some(first.ticket)));
    assert!(matches!(pool.advance(ms(100)).as_slice(), [Decision::Granted(grant)] if grant.ticket == first.ticket));
}

#[test]
fn the_line_is_bounded_in_calls_and_in_bytes() {
    let keys = || vec![key(0, &limits(None, Some(1), None), Past::Fresh)];
    let mut short = Pool::new(keys(), Bounds { calls: 1, bytes: 1_000 }, AGEING, Duration::ZERO);
    granted(short.ask(ms(0), want(1), None));
    waiting(short.ask(ms(0), want(1), None));
    assert_eq!(refused(short.ask(ms(0), want(1), None)).why, Why::Full);
    let mut narrow = Pool::new(keys(), Bounds { calls: 10, bytes: 1_000 }, AGEING, Duration::ZERO);
    granted(narrow.ask(ms(0), want(1), None));
    waiting(narrow.ask(ms(0), Want { bytes: 900, ..want(1) }, None));
    assert_eq!(refused(narrow.ask(ms(0), Want { bytes: 101, ..want(1) }, None)).why, Why::Full);
    waiting(narrow.ask(ms(0), Want { bytes: 100, tenant: "another".into(), ..want(1) }, None));
}

#[test]
fn tokens_that_were_not_used_are_free_again() {
    let mut pool = pool(&[limits(None, None, Some(100))]);
    let first = granted(pool.ask(ms(0), want(80), None));
    waiting(pool.ask(ms(0), want(60), None));
    pool.ended(ms(1), &first, used(40));
    assert_eq!(pool.advance(ms(1)).len(), 1);
}

#[test]
fn a_call_larger_than_the_limit_has_it_for_itself() {
    let mut pool = pool(&[limits(None, None, Some(100))]);
    granted(pool.ask(ms(0), want(500), None));
    waiting(pool.ask(ms(0), want(1), None));
}

#[test]
fn what_an_earlier_process_sent_still_counts() {
    let sent = Record { arrived: Some(ms(5_000)), ended: Some(ms(5_100)), ..Record::default() };
    let keys = vec![key(0, &limits(Some(2), None, None), Past::Kept(vec![sent, sent]))];
    let mut pool = Pool::new(keys, BOUNDS, AGEING, ms(5_500));
    waiting(pool.ask(ms(5_500), want(1), None));
    assert!(pool.advance(ms(6_000)).is_empty());
    assert_eq!(pool.advance(ms(6_001)).len(), 1);
}

#[test]
fn what_an_earlier_process_left_open_lets_the_key_rest() {
    let open = Record::default();
    let keys = vec![key(0, &limits(Some(2), Some(9), None), Past::Kept(vec![open]))];
    let mut pool = Pool::new(keys, BOUNDS, AGEING, ms(5_000));
    let first = waiting(pool.ask(ms(5_000), want(1), None));
    waiting(pool.ask(ms(5_000), want(1), None));
    assert!(pool.advance(ms(5_999)).is_empty());
    let decisions = pool.advance(ms(6_000));
    assert!(matches!(decisions.as_slice(), [Decision::Granted(grant)] if grant.ticket == first), "{decisions:?}");
}

#[test]
fn a_window_that_nobody_knows_counts_as_spent() {
    let mut pool = Pool::new(vec![key(0, &limits(Some(2), None, None), Past::Lost(ms(0)))], BOUNDS, AGEING, ms(400));
    waiting(pool.ask(ms(400), want(1), None));
    assert_eq!(pool.wake_at(ms(400)).map(|at| at.as_millis()), Some(1_000));
    assert_eq!(pool.advance(ms(1_001)).len(), 1);
}

/// A tenant's call that says it may write more than there is.
fn absurd(tenant: &str) -> Want {
    Want { tenant: tenant.into(), need: Need { input: 5, output: 1 << 39 }, ..want(0) }
}

#[test]
fn whoever_asks_for_all_and_is_rejected_each_time_keeps_nobody_from_going_on() {
    let mut pool = pool(&[limits(None, None, Some(1_000))]);
    let other = |now: u64| Want { tenant: "b".into(), deadline: Some(ms(now + 10_000)), ..want(100) };
    let mut first = Some(granted(pool.ask(ms(0), absurd("a"), None)));
    waiting(pool.ask(ms(0), other(0), None));
    let (mut others, mut waits, mut again) = (0, None, false);
    let answer = |pool: &mut Pool, now: u64, grant: &Grant, others: &mut u32, again: &mut bool| {
        pool.answered(ms(now), grant);
        pool.ended(ms(now), grant, used(100));
        *others += 1;
        *again = true;
    };
    for now in (10..20_000).step_by(10) {
        if std::mem::take(&mut again) {
            match pool.ask(ms(now), other(now), None) {
                Asked::Granted(grant) => answer(&mut pool, now, &grant, &mut others, &mut again),
                Asked::Waiting(_) => {}
                refused @ Asked::Refused(_) => panic!("{refused:?}"),
            }
        }
        if let Some(grant) = first.take() {
            pool.answered(ms(now), &grant);
            pool.ended(ms(now), &grant, used(0));
            // It comes again at once.
            match pool.ask(ms(now), absurd("a"), None) {
                Asked::Granted(grant) => first = Some(grant),
                Asked::Waiting(ticket) => waits = Some(ticket),
                refused @ Asked::Refused(_) => panic!("{refused:?}"),
            }
        }
        for decision in pool.advance(ms(now)) {
            match decision {
                Decision::Granted(grant) if Some(grant.ticket) == waits => (first, waits) = (Some(grant), None),
                Decision::Granted(grant) => answer(&mut pool, now, &grant, &mut others, &mut again),
                refused @ Decision::Refused(..) => panic!("{refused:?}"),
            }
        }
    }
    // Twenty windows: half of them would be two hundred calls, had each tenant the same.
    assert!(others >= 50, "{others}");
}

#[test]
fn what_came_free_while_somebody_looked_is_still_to_be_decided() {
    let mut pool = pool(&[limits(None, Some(1), None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    waiting(pool.ask(ms(0), want(1), None));
    pool.ended(ms(10), &first, Ending::Uncertain);
    assert!(pool.advance(ms(10)).is_empty());
    pool.capacity(ms(1_011));
    assert!(pool.wake_at(ms(1_011)).is_some_and(|at| at <= ms(1_011)));
    assert_eq!(pool.advance(ms(1_011)).len(), 1);
    assert_eq!(pool.wake_at(ms(1_011)), None);
}
