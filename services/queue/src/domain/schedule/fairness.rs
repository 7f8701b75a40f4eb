//! Shares, turns and ageing, under any pattern of arrivals.

mod newcomers;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::entry;
use super::*;

const AGEING: Duration = Duration::from_secs(10);

/// Arrivals and picks in some order: `Some` brings so many of a tenant's, `None` takes one.
type Step = Option<(usize, u8)>;

fn names(weights: &[u32]) -> (Vec<String>, Weights) {
    let names: Vec<String> = (0..weights.len()).map(|n| format!("t{n}")).collect();
    let by_name = names.iter().cloned().zip(weights.iter().copied()).collect();
    (names, by_name)
}

fn step(tenants: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..tenants, 1_u8..40).prop_map(Some),
        6 => Just(None),
    ]
}

fn pattern() -> impl Strategy<Value = (Vec<u32>, Vec<Step>)> {
    vec(1_u32..=20, 2..6).prop_flat_map(|weights| {
        let tenants = weights.len();
        (Just(weights), vec(step(tenants), 50..400))
    })
}

/// What a run of picks shows of one tenant.
#[derive(Clone, Default)]
struct Seen {
    backlog: u32,
    picks: f64,
    /// The picks of all when it last had one, or none waiting.
    heard_at: u32,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whoever_has_work_gets_its_share_and_waits_no_longer((weights, steps) in pattern()) {
        let (names, by_name) = names(&weights);
        let mut schedule = Schedule::new(by_name);
        let least = f64::from(*weights.iter().min().unwrap());
        let round: f64 = weights.iter().map(|weight| f64::from(*weight) / least + 1.0).sum();
        let mut seen = vec![Seen::default(); weights.len()];
        // For each two: what each had had when both began to have work together.
        let mut since = vec![vec![None; weights.len()]; weights.len()];
        let (mut seq, mut picks) = (0_u128, 0_u32);
        for step in steps {
            match step {
                Some((tenant, count)) => {
                    if seen[tenant].backlog == 0 {
                        seen[tenant].heard_at = picks;
                    }
                    seen[tenant].backlog += u32::from(count);
                    for _ in 0..count {
                        seq += 1;
                        schedule.accept(entry(seq, &names[tenant], "a"), Moment(0));
                    }
                }
                None => {
                    let Some(id) = schedule.take("a", None) else { continue };
                    let tenant = names.iter().position(|name| **name == *schedule.get(id).unwrap().tenant).unwrap();
                    picks += 1;
                    let waited = f64::from(picks - seen[tenant].heard_at);
                    prop_assert!(waited <= round, "waited {waited} picks of {round}");
                    seen[tenant].heard_at = picks;
                    seen[tenant].backlog -= 1;
                    seen[tenant].picks += 1.0 / f64::from(weights[tenant]);
                    schedule.leased(id);
                    schedule.ended(id, Moment(0));
                }
            }
            for one in 0..weights.len() {
                for other in 0..one {
                    if seen[one].backlog == 0 || seen[other].backlog == 0 {
                        since[one][other] = None;
                        continue;
                    }
                    let (had_one, had_other) = *since[one][other].get_or_insert((seen[one].picks, seen[other].picks));
                    let apart = (seen[one].picks - had_one) - (seen[other].picks - had_other);
                    prop_assert!(apart.abs() <= 3.0 / least, "{one} and {other} are {apart} apart");
                }
            }
        }
    }

    #[test]
    fn priority_and_age_order_a_tenants_work(arrivals in vec((0_i64..600, -5_i32..=5), 1..60)) {
        let mut schedule = Schedule::default();
        for (seq, (second, priority)) in arrivals.iter().enumerate() {
            let turn = turn(second * 1_000_000, *priority, AGEING);
            schedule.accept(Entry { turn, ..entry(seq as u128, "t", "a") }, Moment(0));
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.take("a", None)).map(|id| id.as_u128() as usize).collect();
        for two in order.windows(2) {
            let ((first_at, first), (second_at, second)) = (arrivals[two[0]], arrivals[two[1]]);
            // A higher priority passes only what has waited less than it is worth.
            prop_assert!(first_at - i64::from(first) * 10 <= second_at - i64::from(second) * 10);
        }
    }
}

#[test]
fn long_backlogs_share_by_weight() {
    let (names, weights) = names(&[1, 2, 5]);
    let mut schedule = Schedule::new(weights);
    for seq in 0..3_000_u128 {
        schedule.accept(entry(seq, &names[seq as usize % 3], "a"), Moment(0));
    }
    let mut picks = [0; 3];
    for _ in 0..800 {
        picks[schedule.take("a", None).unwrap().as_u128() as usize % 3] += 1;
    }
    assert_eq!(picks, [100, 200, 500]);
}

#[test]
fn a_tenant_without_work_saves_up_nothing() {
    let (_, weights) = names(&[1, 20]);
    let mut schedule = Schedule::new(weights);
    for seq in 0..1_000 {
        schedule.accept(entry(seq, "t0", "a"), Moment(0));
    }
    for _ in 0..500 {
        schedule.take("a", None);
    }
    for seq in 1_000..2_000 {
        schedule.accept(entry(seq, "t1", "a"), Moment(0));
    }
    let heavy = (0..210).filter_map(|_| schedule.take("a", None)).filter(|id| id.as_u128() >= 1_000).count();
    assert_eq!(heavy, 200, "its share from now on, and nothing for the time before");
}

#[test]
fn a_light_tenant_that_comes_and_goes_does_not_tilt_the_others() {
    let (_, weights) = names(&[100, 100, 1]);
    let mut schedule = Schedule::new(weights);
    for seq in 0..20_000 {
        schedule.accept(entry(seq, ["t0", "t1"][seq as usize % 2], "a"), Moment(0));
    }
    let mut picks = [0_i64; 2];
    for light in 0..100 {
        let id = 100_000 + light;
        schedule.accept(entry(id, "t2", "a"), Moment(0));
        let mut taken = || schedule.take("a", None).map(|id| id.as_u128()).unwrap();
        for _ in 0..60 {
            match taken() {
                seq if seq < 20_000 => picks[seq as usize % 2] += 1,
                _ => {}
            }
        }
    }
    assert!((picks[0] - picks[1]).abs() <= 101, "{picks:?}");
}

#[test]
fn no_stream_of_urgent_work_starves_the_rest() {
    let mut schedule = Schedule::default();
    let second = |n: i64| n * 1_000_000;
    schedule.accept(Entry { turn: turn(0, -3, AGEING), ..entry(1_000, "t", "a") }, Moment(0));
    let mut taken_at = None;
    for now in 0..200 {
        schedule.accept(Entry { turn: turn(second(now), 5, AGEING), ..entry(now as u128, "t", "a") }, Moment(0));
        if schedule.take("a", None) == Some(Uuid::from_u128(1_000)) {
            taken_at = Some(now);
            break;
        }
    }
    assert_eq!(taken_at, Some(81), "eight points of priority are worth 80 seconds");
}

#[test]
fn a_confined_workers_picks_are_its_tenants_own() {
    let mut schedule = Schedule::default();
    for seq in 0..40 {
        schedule.accept(entry(seq, ["mine", "theirs"][seq as usize % 2], "a"), Moment(0));
    }
    for _ in 0..10 {
        assert_eq!(schedule.take("a", Some("mine")).map(|id| id.as_u128() % 2), Some(0));
    }
    let mine = (0..10).filter_map(|_| schedule.take("a", None)).filter(|id| id.as_u128() % 2 == 0).count();
    assert_eq!(mine, 5);
    assert_eq!(schedule.take("a", Some("nobody")), None);
}
