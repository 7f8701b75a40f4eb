use std::time::Duration;

use super::*;

const MAX: Duration = Duration::from_secs(60);
const UNBOUNDED: Limit = Limit { items: 1_000_000, bytes: 1 << 40 };

fn at(seconds: f64) -> Moment {
    Moment(0).after(Duration::from_secs_f64(seconds))
}

fn limits() -> Limits {
    Limits { total: UNBOUNDED, agent: UNBOUNDED, tenant: UNBOUNDED, tenants: HashMap::new(), soft: 0.8, hint_max: MAX }
}

fn depths(limits: Limits) -> Depths {
    Depths::new(limits, [("heavy", 3)].into_iter().collect(), Moment(0))
}

fn items(items: u64) -> Limit {
    Limit { items, ..UNBOUNDED }
}

fn name(text: &str) -> Arc<str> {
    text.into()
}

impl Depths {
    fn try_in(&mut self, agent: &str, tenant: &str, bytes: usize) -> Result<(), (Within, Measure, Mark)> {
        let admitted = self.admit(&name(agent), &name(tenant), bytes, 0.5, Moment(0));
        admitted.map_err(|full| (full.within, full.measure, full.mark))
    }

    fn fill(&mut self, agent: &str, tenant: &str) -> usize {
        (0..10_000).take_while(|_| self.try_in(agent, tenant, 1).is_ok()).count()
    }
}

#[test]
fn a_hard_mark_lets_nobody_in_by_items_and_by_bytes() {
    let mut by_items = depths(Limits { total: items(10), ..limits() });
    assert_eq!(by_items.fill("a", "t"), 10);
    assert_eq!(by_items.try_in("a", "t", 1), Err((Within::Total, Measure::Items, Mark::Hard)));
    assert_eq!(by_items.try_in("b", "new", 1), Err((Within::Total, Measure::Items, Mark::Hard)));

    let mut by_bytes = depths(Limits { agent: Limit { bytes: 100, ..UNBOUNDED }, ..limits() });
    assert_eq!(by_bytes.try_in("a", "t", 101), Err((Within::Agent, Measure::Bytes, Mark::Hard)));
    assert_eq!(by_bytes.try_in("a", "t", 100), Ok(()));
    assert_eq!(by_bytes.try_in("b", "t", 100), Ok(()), "each agent type has its own room");
}

#[test]
fn past_the_soft_mark_only_those_get_in_who_hold_no_more_than_their_share() {
    let mut depths = depths(Limits { agent: items(100), ..limits() });
    assert_eq!(depths.try_in("a", "small", 1), Ok(()));
    assert_eq!(depths.fill("a", "flood"), 79, "up to the soft mark");
    assert_eq!(depths.try_in("a", "flood", 1), Err((Within::Agent, Measure::Items, Mark::Soft)));
    assert_eq!(depths.fill("a", "small"), 20, "and the rest is for the others");
    assert_eq!(depths.try_in("a", "small", 1), Err((Within::Agent, Measure::Items, Mark::Hard)));
    assert_eq!(depths.fill("b", "flood"), 100, "another agent type is not concerned; alone, it has all of it");
}

#[test]
fn the_share_is_by_weight() {
    let mut depths = depths(Limits { total: items(100), ..limits() });
    for _ in 0..40 {
        depths.try_in("a", "heavy", 1).unwrap();
        depths.try_in("b", "light", 1).unwrap();
    }
    assert_eq!(depths.try_in("b", "light", 1), Err((Within::Total, Measure::Items, Mark::Soft)));
    assert_eq!(depths.fill("a", "heavy"), 20, "three quarters are its share");
}

#[test]
fn a_tenants_own_limit_takes_the_place_of_the_general_one() {
    let own = HashMap::from([("own".to_owned(), items(3))]);
    let mut depths = depths(Limits { tenant: items(5), tenants: own, ..limits() });
    assert_eq!((depths.fill("a", "own"), depths.fill("a", "t")), (3, 5));
    assert_eq!(depths.try_in("b", "own", 1), Err((Within::Tenant, Measure::Items, Mark::Hard)));
}

#[test]
fn every_event_counts_in_every_sum_and_nothing_stays_of_what_is_gone() {
    let (a, b, t, u) = (name("a"), name("b"), name("t"), name("u"));
    let mut depths = depths(limits());
    for (agent, tenant) in [(&a, &t), (&a, &u), (&b, &t)] {
        depths.admit(agent, tenant, 10, 0.5, Moment(0)).unwrap();
    }
    depths.claimed(&a, &t, 10, Moment(1));
    assert_eq!(depths.waiting(), (2, 20));
    let of = |depths: &Depths, tenant| {
        let counts = depths.by_agent(tenant);
        counts.iter().map(|count| (count.agent.to_string(), count.queued, count.leased)).collect::<Vec<_>>()
    };
    assert_eq!(of(&depths, None), [("a".into(), 1, 1), ("b".into(), 1, 0)]);
    assert_eq!(of(&depths, Some("t")), [("a".into(), 0, 1), ("b".into(), 1, 0)]);
    depths.requeued(&a, &t, 10, Moment(2));
    assert_eq!(depths.waiting(), (3, 30));
    depths.claimed(&a, &t, 10, Moment(3));
    depths.ended(&a, &t, 10, true, Moment(4));
    depths.ended(&b, &t, 10, false, Moment(4));
    depths.withdrawn(&a, &u, 10, Moment(5));
    assert_eq!((depths.waiting(), of(&depths, None)), ((0, 0), vec![]));
    assert!(depths.agents.is_empty() && depths.tenants.is_empty() && depths.total.weight == 0);
}

/// Fills a queue, then drains `per_second` of it for a while; the seconds that it has run.
fn drained(depths: &mut Depths, agent: &str, tenant: &str, per_second: u32, seconds: u32) -> Moment {
    let (agent, tenant) = (name(agent), name(tenant));
    for tick in 1..=per_second * seconds {
        let now = at(f64::from(tick) / f64::from(per_second));
        depths.claimed(&agent, &tenant, 1, now);
        depths.ended(&agent, &tenant, 1, true, now);
        depths.waits(&agent, &tenant, 1, now);
    }
    at(f64::from(seconds))
}

#[test]
fn a_hint_is_the_time_in_which_the_limiting_scope_drains() {
    let mut depths = depths(Limits { agent: items(200), ..limits() });
    depths.fill("slow", "t");
    depths.fill("fast", "t");
    drained(&mut depths, "fast", "t", 100, 30);
    let mut slow = depths;
    let now = drained(&mut slow, "slow", "t", 10, 30);
    for (agent, wait) in [("slow", 20.0), ("fast", 2.0)] {
        let full = slow.admit(&name(agent), &name("t"), 1, 0.5, now).unwrap_err();
        // The fast one has not drained since; a clock that goes on without an end slows it down.
        assert_eq!(full.within, Within::Agent);
        assert!((full.wait.as_secs_f64() / wait - 1.0).abs() < 0.1, "{agent}: {full:?}");
    }
}

#[test]
fn hints_are_spread_and_bounded() {
    let mut depths = depths(Limits { total: items(100), ..limits() });
    depths.fill("a", "t");
    let hint = |depths: &mut Depths, jitter, now| {
        depths.admit(&name("a"), &name("t"), 1, jitter, now).unwrap_err().wait.as_secs_f64()
    };
    for (waited, told) in [(0.0, 1.0), (30.0, 30.0), (600.0, 60.0)] {
        assert!((hint(&mut depths, 0.5, at(waited)) - told).abs() < 1e-6, "nothing has drained for {waited} s");
    }
    let now = drained(&mut depths, "a", "t", 10, 20);
    let (early, late) = (hint(&mut depths, 0.0, now), hint(&mut depths, 1.0, now));
    assert!((late / early - 1.5).abs() < 1e-6 && (early - 8.0).abs() < 0.8, "{early} {late}");
}

#[test]
fn the_rate_is_measured_while_something_waits() {
    let mut depths = depths(Limits { total: items(100), ..limits() });
    let (a, t) = (name("a"), name("t"));
    // For a minute one comes and goes in a second: that is no limit of the workers.
    for second in 0..60 {
        let now = at(f64::from(second));
        depths.admit(&a, &t, 1, 0.5, now).unwrap();
        depths.claimed(&a, &t, 1, now);
        depths.ended(&a, &t, 1, true, at(f64::from(second) + 0.01));
    }
    for _ in 0..100 {
        depths.admit(&a, &t, 1, 0.5, at(60.0)).unwrap();
    }
    for tick in 0..100 {
        let now = at(60.0 + f64::from(tick) / 50.0);
        depths.claimed(&a, &t, 1, now);
        depths.ended(&a, &t, 1, true, now);
        depths.waits(&a, &t, 1, now);
    }
    let wait = depths.admit(&a, &t, 1, 0.5, at(62.0)).unwrap_err().wait.as_secs_f64();
    assert!((wait - 2.0).abs() < 0.3, "100 at 50 a second: {wait}");
}

#[test]
fn what_others_drain_counts_too() {
    let mut depths = depths(Limits { total: items(100), ..limits() });
    depths.fill("a", "t");
    depths.ends_elsewhere(50.0);
    let wait = depths.admit(&name("a"), &name("t"), 1, 0.5, Moment(0)).unwrap_err().wait;
    assert_eq!(wait, Duration::from_secs(2));
    let now = drained(&mut depths, "a", "t", 50, 30);
    let wait = depths.admit(&name("a"), &name("t"), 1, 0.5, now).unwrap_err().wait.as_secs_f64();
    assert!((wait - 1.0).abs() < 0.1, "{wait}");
}

#[test]
fn what_only_others_drain_is_no_reason_to_stay_away_for_long() {
    let mut depths = depths(Limits { agent: items(100), ..limits() });
    depths.fill("theirs", "t");
    depths.fill("ours", "u");
    depths.ends_elsewhere(50.0);
    let now = drained(&mut depths, "ours", "u", 50, 30);
    let hint = |depths: &mut Depths, agent| {
        depths.admit(&name(agent), &name("t"), 1, 0.5, now).unwrap_err().wait.as_secs_f64()
    };
    assert!((hint(&mut depths, "theirs") - 4.0).abs() < 0.4, "half of what waits, half of what they drain");
    assert!((hint(&mut depths, "ours") - 1.0).abs() < 0.1, "as the own work is");
}

#[test]
fn what_has_just_come_is_expected_to_drain_as_the_rest_does_until_it_shows() {
    let mut depths = depths(Limits { agent: items(100), ..limits() });
    depths.fill("old", "t");
    let now = drained(&mut depths, "old", "t", 50, 30);
    for _ in 0..100 {
        depths.admit(&name("new"), &name("u"), 1, 0.5, now).unwrap();
    }
    let hint =
        |depths: &mut Depths, now| depths.admit(&name("new"), &name("u"), 1, 0.5, now).unwrap_err().wait.as_secs_f64();
    assert!((hint(&mut depths, now) - 4.0).abs() < 0.4, "200 at 50 a second");
    assert!(hint(&mut depths, at(70.0)) > 59.0, "nobody works on it");
}

#[test]
fn a_stores_counts_replace_these_with_own_changes_kept() {
    let (a, b, t) = (name("a"), name("b"), name("t"));
    let mut depths = depths(limits());
    depths.admit(&b, &t, 10, 0.5, Moment(0)).unwrap();
    depths.mark();
    depths.admit(&a, &t, 10, 0.5, Moment(0)).unwrap();
    depths.claimed(&a, &t, 10, Moment(0));
    let count = Count { agent: a.clone(), tenant: t.clone(), queued: 5, bytes: 50, leased: 1, oldest: Some(Moment(7)) };
    depths.reset(vec![count], Moment(1));
    let counts = depths.by_agent(None);
    assert_eq!(counts, [AgentCount { agent: a.clone(), queued: 5, leased: 2, oldest: Some(Moment(7)) }]);
    assert_eq!(depths.waiting(), (5, 50), "what the store does not know is not there");
    // Leasing what another process accepted since leaves less than nothing, until the next look.
    for _ in 0..6 {
        depths.claimed(&a, &t, 10, Moment(2));
    }
    assert_eq!(depths.waiting(), (0, 0));
    depths.mark();
    depths.reset(Vec::new(), Moment(3));
    assert!(depths.agents.is_empty() && depths.tenants.is_empty() && depths.total.weight == 0);
}

#[test]
fn a_steady_stream_shows_its_rate_from_the_start() {
    let mut rate = Rate::new(Moment(0));
    for tenth in 1..=600_u64 {
        rate.add(10, Moment(tenth * 100_000));
        if tenth >= 20 {
            let now = Moment(tenth * 100_000);
            assert!((rate.per_second(now) - 100.0).abs() < 10.0, "{}", rate.per_second(now));
        }
    }
}
