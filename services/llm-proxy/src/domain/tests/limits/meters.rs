//! What calls take of the limits, and when they give it back.

use super::*;

#[test]
fn a_call_takes_from_all_limits_or_from_none() {
    let own =
        ModelLimits { requests_per_minute: Some(2), input_tokens_per_minute: Some(100), ..ModelLimits::default() };
    let mut pool = pool(&[only(own)]);
    granted(pool.ask(ms(0), sized(80, 0), None));
    let waits = Want { deadline: Some(ms(9_000)), ..sized(50, 0) };
    waiting(pool.ask(ms(0), waits, None));
    assert_eq!(available(&mut pool, ms(0), Kind::Requests), 1, "who waits holds nothing");
    assert_eq!(available(&mut pool, ms(0), Kind::Input), 20);
}

#[test]
fn what_is_read_counts_from_its_arrival_and_what_is_written_from_the_end() {
    let own = ModelLimits {
        tokens_per_minute: Some(100),
        input_tokens_per_minute: Some(100),
        output_tokens_per_minute: Some(100),
        ..ModelLimits::default()
    };
    let mut pool = pool(&[only(own)]);
    let grant = granted(pool.ask(ms(0), sized(60, 30), None));
    pool.answered(ms(100), &grant);
    let left =
        |pool: &mut Pool, at: u64| [Kind::Tokens, Kind::Input, Kind::Output].map(|kind| available(pool, ms(at), kind));
    assert_eq!(left(&mut pool, 1_100), [10, 40, 70]);
    assert_eq!(left(&mut pool, 1_101), [70, 100, 70]);
    pool.ended(ms(5_000), &grant, DONE);
    assert_eq!(left(&mut pool, 6_000), [70, 100, 70]);
    assert_eq!(left(&mut pool, 6_001), [100, 100, 100]);
}

#[test]
fn with_shared_limits_each_process_has_an_equal_part_of_a_day() {
    let mut pool = Pool::new(Vec::new(), BOUNDS, AGEING, ms(0));
    pool.share(Some(Shares { reserve_percent: 2, processes_max: 8 }));
    let of_a_day = |requests| only(ModelLimits { requests_per_day: Some(requests), ..ModelLimits::default() });
    pool.set_keys(ms(0), vec![fresh(0, &of_a_day(85))]);
    assert_eq!(available(&mut pool, ms(0), Kind::RequestsPerDay), 10);
    pool.set_keys(ms(0), vec![fresh(0, &of_a_day(170))]);
    assert_eq!(available(&mut pool, ms(0), Kind::RequestsPerDay), 21);
}

#[test]
fn the_real_usage_takes_the_place_of_the_estimate() {
    let own = ModelLimits {
        tokens_per_minute: Some(100),
        input_tokens_per_minute: Some(100),
        output_tokens_per_minute: Some(100),
        ..ModelLimits::default()
    };
    for (used, left) in [((20, 10), [70, 80, 90]), ((50, 40), [10, 50, 60]), ((70, 60), [0, 30, 40])] {
        let mut pool = pool(&[only(own.clone())]);
        let grant = granted(pool.ask(ms(0), sized(40, 30), None));
        pool.sent(ms(0), &grant);
        pool.answered(ms(10), &grant);
        let (input, output) = used;
        pool.ended(ms(20), &grant, Ending::Certain { used: Some(Need { input, output }) });
        let kinds = [Kind::Tokens, Kind::Input, Kind::Output];
        assert_eq!(kinds.map(|kind| available(&mut pool, ms(20), kind)), left, "{used:?}");
        assert_eq!(kinds.map(|kind| available(&mut pool, ms(1_021), kind)), [100; 3], "{used:?}");
    }
}

#[test]
fn a_call_that_was_given_up_counts_as_much_as_was_set_aside_or_as_it_wrote() {
    for (wrote, left) in [(0, 70), (10, 70), (50, 50)] {
        let own = ModelLimits { output_tokens_per_minute: Some(100), ..ModelLimits::default() };
        let mut pool = pool(&[only(own)]);
        let grant = granted(pool.ask(ms(0), sized(40, 30), None));
        pool.sent(ms(0), &grant);
        pool.writes(ms(10), &grant, wrote);
        assert_eq!(available(&mut pool, ms(10), Kind::Output), left, "while it writes");
        pool.ended(ms(20), &grant, Ending::Uncertain);
        assert_eq!(available(&mut pool, ms(2_020), Kind::Output), left, "until a window after its end is certain");
        assert_eq!(available(&mut pool, ms(2_021), Kind::Output), 100);
    }
}

#[test]
fn a_call_that_was_refused_arrived_and_cost_nothing_else() {
    let own = ModelLimits { requests_per_minute: Some(5), tokens_per_minute: Some(100), ..ModelLimits::default() };
    let mut pool = pool(&[only(own)]);
    let grant = granted(pool.ask(ms(0), sized(40, 30), None));
    pool.sent(ms(0), &grant);
    pool.ended(ms(20), &grant, Ending::Refused);
    assert_eq!([Kind::Requests, Kind::Tokens].map(|kind| available(&mut pool, ms(20), kind)), [4, 100]);
}

#[test]
fn a_call_that_was_never_sent_gives_all_of_it_back() {
    let own = ModelLimits {
        requests_per_minute: Some(5),
        tokens_per_minute: Some(100),
        concurrency: Some(3),
        requests_per_day: Some(7),
        ..ModelLimits::default()
    };
    let mut pool = pool(&[with_model(only(own), of_requests(1))]);
    let lane = pool.lane("m");
    let grant = granted(pool.ask(ms(0), Want { lane, ..sized(40, 30) }, None));
    pool.ended(ms(20), &grant, Ending::Unsent);
    let left = |limit: &LimitCapacity| limit.available == limit.limit;
    let capacity = pool.capacity(ms(20));
    assert!(capacity.keys[0].limits.iter().all(left), "{capacity:?}");
}

#[test]
fn a_days_quota_is_free_again_a_day_later() {
    let own = ModelLimits { requests_per_day: Some(2), tokens_per_day: Some(100), ..ModelLimits::default() };
    let mut pool = pool(&[only(own)]);
    for at in [0, 10_000] {
        let grant = granted(pool.ask(ms(at), sized(20, 10), None));
        run(&mut pool, ms(at), &grant, Need { input: 20, output: 10 });
    }
    let refusal = refused(pool.ask(ms(20_000), Want { deadline: Some(ms(1_000_000)), ..sized(1, 1) }, None));
    assert_eq!(refusal.why, Why::Late);
    // A day has 1,440 windows, and a slice is a 288th of it.
    let day = 1_440_000;
    assert!((day - 20_000..=day - 15_000).contains(&refusal.retry_after.as_millis()), "{refusal:?}");
    waiting(pool.ask(ms(20_000), sized(1, 1), None));
    assert!(pool.advance(ms(1_440_000)).is_empty());
    assert_eq!(pool.advance(ms(1_445_000)).len(), 1);
}

#[test]
fn what_an_earlier_process_counted_of_the_day_still_counts() {
    let own = ModelLimits { tokens_per_day: Some(100), requests_per_day: Some(9), ..ModelLimits::default() };
    let record =
        |at: u64| Record { lane: None, arrived: Some(ms(at)), ended: Some(ms(at)), used: Need { input: 5, output: 0 } };
    let tokens = DailyUse { lane: None, kind: Kind::TokensPerDay, slices: vec![(ms(900_000), 60)] };
    let new = NewKey {
        past: Past::Kept(vec![record(99_000), record(99_900)]),
        days: Days::Kept { at: ms(99_500), days: vec![tokens] },
        ..fresh(0, &only(own))
    };
    let mut pool = Pool::new(vec![new], BOUNDS, AGEING, ms(100_000));
    assert_eq!(available(&mut pool, ms(100_000), Kind::TokensPerDay), 35, "one call was not written down");
    assert_eq!(available(&mut pool, ms(100_000), Kind::RequestsPerDay), 7, "this limit is new");
    assert_eq!(available(&mut pool, ms(900_000), Kind::TokensPerDay), 95);
    let own = ModelLimits { tokens_per_day: Some(100), ..ModelLimits::default() };
    let lost = NewKey { days: Days::Lost, ..fresh(0, &only(own)) };
    let mut pool = Pool::new(vec![lost], BOUNDS, AGEING, ms(100_000));
    assert_eq!(available(&mut pool, ms(100_000), Kind::TokensPerDay), 0);
}

#[test]
fn a_model_has_limits_beside_those_of_its_key() {
    let both = ModelLimits { tokens_per_minute: Some(50), ..of_requests(3) };
    let mut pool = pool(&[with_model(limits(Some(4), None, None), both)]);
    let lane = pool.lane("m");
    let other = pool.lane("n");
    granted(pool.ask(ms(0), Want { lane, ..sized(30, 0) }, None));
    waiting(pool.ask(ms(0), Want { lane, ..sized(30, 0) }, None));
    granted(pool.ask(ms(0), Want { lane: other, ..sized(900, 0) }, None));
    let capacity = pool.capacity(ms(0));
    let of = |limit: &LimitCapacity| (limit.kind, limit.model.clone(), limit.available);
    let m = || Some("m".into());
    let left = [(Kind::Requests, None, 2), (Kind::Requests, m(), 2), (Kind::Tokens, m(), 20)];
    assert_eq!(capacity.keys[0].limits.iter().map(of).collect::<Vec<_>>(), left);
    let lines: Vec<_> = capacity.lines.iter().map(|line| (&*line.model, line.waiting, line.tokens)).collect();
    assert_eq!(lines, [("m", 1, 30), ("n", 0, 0)]);
    assert_eq!((capacity.lines[1].wait, capacity.keys[0].in_flight), (Duration::ZERO, 2));
}
