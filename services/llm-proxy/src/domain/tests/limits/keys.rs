//! Which key, and whether it may be used.

use super::*;

#[test]
fn the_key_with_most_room_for_calls_of_this_size_is_chosen() {
    let tokens = |tokens: u64, concurrency: u32| limits(None, Some(concurrency), Some(tokens));
    let keys = [tokens(100, 10), tokens(1_000, 4)];
    let (mut first, mut other) = (pool(&keys), pool(&keys));
    let small = granted(first.ask(ms(0), want(1), None));
    assert_eq!(small.key, first.key_ids()[0], "ten places against four");
    let large = granted(first.ask(ms(0), want(40), None));
    assert_eq!(large.key, first.key_ids()[1], "four of them against two");
    let large = granted(other.ask(ms(0), want(40), None));
    assert_eq!(large.key, other.key_ids()[1], "whoever's turn it is");
}

#[test]
fn equal_keys_take_turns() {
    let mut pool = pool(&[limits(None, None, None), limits(None, None, None), limits(None, None, None)]);
    let keys: Vec<_> = (0..6).map(|_| granted(pool.ask(ms(0), want(1), None)).key).collect();
    let ids = pool.key_ids();
    assert_eq!(keys, [ids.clone(), ids].concat());
}

#[test]
fn whom_a_model_holds_back_lets_others_pass_and_whom_the_key_holds_back_does_not() {
    let mut pool = pool(&[with_model(limits(Some(3), None, None), of_requests(1))]);
    let (full, free) = (pool.lane("m"), pool.lane("n"));
    granted(pool.ask(ms(0), Want { lane: full, ..want(1) }, None));
    let held_back = waiting(pool.ask(ms(0), Want { lane: full, ..want(1) }, None));
    granted(pool.ask(ms(0), Want { lane: free, ..want(1) }, None));
    let last = granted(pool.ask(ms(0), Want { lane: free, ..want(1) }, None));
    let behind = waiting(pool.ask(ms(0), Want { lane: free, ..want(1) }, None));
    // The key's own limit is reached: from here on the first in line holds back everybody.
    assert!(pool.advance(ms(0)).is_empty());
    pool.ended(ms(0), &last, Ending::Unsent);
    let decisions = pool.advance(ms(0));
    assert!(matches!(decisions.as_slice(), [Decision::Granted(grant)] if grant.ticket == behind), "{decisions:?}");
    assert_eq!(pool.in_line(), 1);
    pool.give_up(&held_back);
}

#[test]
fn a_large_call_that_waits_for_the_key_is_not_starved_by_small_ones_of_another_model() {
    let mut pool = pool(&[limits(None, None, Some(100))]);
    let (large, small) = (pool.lane("large"), pool.lane("small"));
    let first = granted(pool.ask(ms(0), Want { lane: small, ..want(60) }, None));
    let waits = waiting(pool.ask(ms(0), Want { lane: large, tenant: "a".into(), ..want(90) }, None));
    waiting(pool.ask(ms(0), Want { lane: small, tenant: "b".into(), ..want(10) }, None));
    assert!(pool.advance(ms(1)).is_empty());
    pool.ended(ms(2), &first, used(0));
    let decisions = pool.advance(ms(2));
    assert!(
        matches!(&decisions[..], [Decision::Granted(a), Decision::Granted(_)] if a.ticket == waits),
        "{decisions:?}"
    );
}

#[test]
fn of_four_keys_the_one_that_says_429_gets_no_call_before_it_is_due_and_one_first() {
    let mut pool = pool(&vec![limits(None, Some(8), None); 4]);
    let ids = pool.key_ids();
    let first: Vec<_> = (0..4).map(|_| granted(pool.ask(ms(0), want(1), None))).collect();
    pool.rest(ms(10), ids[2], ms(7_010));
    pool.ended(ms(10), first.iter().find(|grant| grant.key == ids[2]).expect("one each"), Ending::Refused);
    let before: Vec<_> = (0..21).map(|_| granted(pool.ask(ms(7_009), want(1), None))).collect();
    assert!(before.iter().all(|grant| grant.key != ids[2]));
    let in_line: Vec<_> = (0..20).map(|_| waiting(pool.ask(ms(7_009), want(1), None))).collect();
    assert!(pool.advance(ms(7_009)).is_empty());
    let widths = [7_010, 7_100, 7_200, 7_300].map(|at| {
        let decisions = pool.advance(ms(at));
        for decision in &decisions {
            let Decision::Granted(grant) = decision else { panic!("{decision:?}") };
            assert_eq!(grant.key, ids[2]);
            pool.ended(ms(at + 50), grant, used(1));
        }
        decisions.len()
    });
    assert_eq!(widths, [1, 2, 4, 8], "step by step");
    assert_eq!(pool.in_line(), in_line.len() - 15);
}

#[test]
fn a_key_that_was_not_taken_is_tried_again_by_one_call() {
    let mut pool = pool(&[limits(None, Some(9), None)]);
    let ids = pool.key_ids();
    let first = granted(pool.ask(ms(0), want(1), None));
    pool.deny(ms(0), ids[0], ms(60_000));
    pool.ended(ms(0), &first, Ending::Refused);
    let refusal = refused(pool.ask(ms(10), want(1), None));
    assert_eq!((refusal.why, refusal.retry_after), (Why::NoKey, ms(59_990)));
    let probe = granted(pool.ask(ms(60_000), want(1), None));
    waiting(pool.ask(ms(60_000), want(1), None));
    assert_eq!(pool.capacity(ms(60_000)).keys[0].state, State::Quarantined, "nobody knows yet");
    pool.deny(ms(60_010), ids[0], ms(120_010));
    pool.ended(ms(60_010), &probe, Ending::Refused);
    let decisions = pool.advance(ms(60_010));
    assert!(matches!(&decisions[..], [Decision::Refused(_, refusal)] if refusal.why == Why::NoKey), "{decisions:?}");
    pool.renew(ms(61_000), ids[0]);
    let probe = granted(pool.ask(ms(61_000), want(1), None));
    pool.taken(ms(61_010), &probe);
    assert_eq!(pool.capacity(ms(61_010)).keys[0].state, State::Ramping);
}

#[test]
fn a_call_that_would_go_elsewhere_is_told_so_at_once_and_when_a_rest_makes_it_late() {
    let mut pool = pool(&[limits(Some(1), None, None)]);
    let first = granted(pool.ask(ms(0), want(1), None));
    run(&mut pool, ms(0), &first, Need::default());
    let by = |at: u64| Want { start_by: Some(ms(at)), deadline: Some(ms(60_000)), ..want(1) };
    let refusal = refused(pool.ask(ms(0), by(900), None));
    assert_eq!((refusal.why, refusal.starts_in.as_millis()), (Why::Slow, 1_000));
    let ticket = waiting(pool.ask(ms(0), by(1_500), None));
    pool.rest(ms(10), first.key, ms(5_000));
    let decisions = pool.advance(ms(10));
    let Decision::Refused(who, refusal) = &decisions[0] else { panic!("{decisions:?}") };
    assert_eq!((*who, refusal.why, refusal.starts_in), (ticket, Why::Slow, ms(4_990)));
}

#[test]
fn a_removed_key_ends_its_calls_and_gets_no_new_ones() {
    let mut pool = pool(&[limits(None, Some(1), None), limits(None, Some(1), None)]);
    let ids = pool.key_ids();
    let grants = [granted(pool.ask(ms(0), want(1), None)), granted(pool.ask(ms(0), want(1), None))];
    let first = waiting(pool.ask(ms(0), want(1), None));
    pool.set_keys(ms(1), vec![fresh(1, &limits(None, Some(1), None)), fresh(2, &limits(None, Some(1), None))]);
    let now = pool.key_ids();
    assert!(now[0] == ids[1] && !ids.contains(&now[1]), "one stays, and no key gets what another had: {now:?}");
    let decisions = pool.advance(ms(1));
    assert!(matches!(&decisions[..], [Decision::Granted(grant)] if grant.ticket == first && grant.key == now[1]));
    // The end of a call with the removed key frees nothing anywhere else.
    waiting(pool.ask(ms(2), want(1), None));
    pool.ended(ms(2), grants.iter().find(|grant| grant.key == ids[0]).expect("one each"), DONE);
    assert!(pool.advance(ms(2)).is_empty());
    pool.sent(ms(3), grants.iter().find(|grant| grant.key == ids[0]).expect("one each"));
}

#[test]
fn a_key_that_comes_back_while_calls_have_it_is_the_same() {
    let one = || vec![fresh(0, &limits(None, Some(2), None))];
    let mut pool = Pool::new(one(), BOUNDS, AGEING, ms(0));
    let ids = pool.key_ids();
    granted(pool.ask(ms(0), want(1), None));
    pool.set_keys(ms(1), Vec::new());
    assert_eq!(refused(pool.ask(ms(1), want(1), None)).why, Why::NoKey);
    pool.set_keys(ms(2), one());
    assert_eq!(pool.key_ids(), ids);
    granted(pool.ask(ms(2), want(1), None));
    waiting(pool.ask(ms(2), want(1), None));
}

#[test]
fn other_limits_keep_what_was_used() {
    let mut pool = pool(&[limits(Some(4), None, None)]);
    for at in [0, 0, 500] {
        let grant = granted(pool.ask(ms(at), want(1), None));
        run(&mut pool, ms(at), &grant, Need::default());
    }
    pool.set_keys(ms(600), vec![fresh(0, &limits(Some(3), None, None))]);
    assert_eq!(available(&mut pool, ms(600), Kind::Requests), 0);
    assert_eq!(available(&mut pool, ms(1_001), Kind::Requests), 2);
}

#[test]
fn a_limit_that_is_new_counts_what_is_known_and_what_is_in_hand() {
    let mut pool = pool(&[limits(Some(9), None, None)]);
    let arrived = granted(pool.ask(ms(0), sized(10, 5), None));
    pool.answered(ms(0), &arrived);
    granted(pool.ask(ms(0), sized(7, 3), None));
    let before = Record { lane: None, arrived: Some(ms(50)), ended: Some(ms(60)), used: Need { input: 20, output: 0 } };
    let limits = limits(Some(9), None, Some(100));
    pool.set_keys(ms(100), vec![key(0, &limits, Past::Kept(vec![before]))]);
    assert_eq!(available(&mut pool, ms(100), Kind::Tokens), 100 - 20 - 15 - 10);
    assert_eq!(available(&mut pool, ms(100), Kind::Requests), 7, "this one knew it already");
    pool.ended(ms(200), &arrived, Ending::Certain { used: Some(Need { input: 10, output: 1 }) });
    assert_eq!(available(&mut pool, ms(200), Kind::Tokens), 59, "what was not written is free");
    assert_eq!(available(&mut pool, ms(1_201), Kind::Tokens), 90, "the other one is still at it");
}
