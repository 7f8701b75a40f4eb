//! Tenants that come, have their turn before the others, and have nothing of coming and going.

use proptest::prelude::*;

use super::super::tests::entry;
use super::super::*;
use super::{names, pattern};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nobody_has_more_than_its_share_by_coming_and_going((weights, steps) in pattern()) {
        let (names, by_name) = names(&weights);
        let mut schedule = Schedule::new(by_name);
        let least = f64::from(*weights.iter().min().unwrap());
        // The first always has work; what the others have, they may bring at the best moment.
        for seq in 0..500 {
            schedule.accept(entry(seq, &names[0], "a"), Moment(0));
        }
        let (mut seq, mut had) = (1_000_u128, vec![0.0; weights.len()]);
        for step in steps {
            match step {
                Some((tenant, count)) if tenant > 0 => {
                    for _ in 0..count % 4 {
                        seq += 1;
                        schedule.accept(entry(seq, &names[tenant], "a"), Moment(0));
                    }
                }
                _ => {
                    let id = schedule.take("a", None).unwrap();
                    let tenant = names.iter().position(|name| **name == *schedule.get(id).unwrap().tenant).unwrap();
                    had[tenant] += 1.0 / f64::from(weights[tenant]);
                    schedule.leased(id);
                    schedule.ended(id, Moment(0));
                }
            }
            for tenant in 1..weights.len() {
                let ahead = had[tenant] - had[0];
                prop_assert!(ahead <= 3.0 / least, "{tenant} is {ahead} ahead of who stayed");
            }
        }
    }
}

/// A schedule in which each of so many tenants has had a turn, and has a thousand more waiting.
fn in_the_round(tenants: usize, weights: Weights) -> Schedule {
    let mut schedule = Schedule::new(weights);
    for seq in 0..1_000 * tenants as u128 {
        schedule.accept(entry(seq, &format!("t{}", seq as usize % tenants), "a"), Moment(0));
    }
    for _ in 0..10 * tenants {
        schedule.take("a", None);
    }
    schedule
}

#[test]
fn who_comes_is_heard_before_those_who_always_want_more() {
    let mut schedule = in_the_round(9, Weights::default());
    for seq in [20_000, 20_001] {
        schedule.accept(entry(seq, "comes", "a"), Moment(0));
    }
    assert_eq!(schedule.take("a", None), Some(Uuid::from_u128(20_000)));
    let others = (0..9).filter_map(|_| schedule.take("a", None)).filter(|id| id.as_u128() < 20_000).count();
    assert_eq!(others, 9, "the second one has its turn behind all of the round");
    assert_eq!(schedule.take("a", None), Some(Uuid::from_u128(20_001)));
}

#[test]
fn who_comes_again_and_again_has_one_turn_a_round() {
    let mut schedule = in_the_round(3, Weights::default());
    let (mut seq, mut had) = (20_000, 0);
    for _ in 0..400 {
        if schedule.len_of("a", "comes") == 0 {
            seq += 1;
            schedule.accept(entry(seq, "comes", "a"), Moment(0));
        }
        had += usize::from(schedule.take("a", None).is_some_and(|id| id.as_u128() >= 20_000));
    }
    assert!((100..=101).contains(&had), "{had} of 400 among four");
}

#[test]
fn who_leaves_a_turn_half_used_has_no_second_one_in_the_round() {
    let (_, weights) = names(&[1, 1, 1, 10]);
    let mut schedule = in_the_round(3, weights);
    let (mut seq, mut had, mut was_its_own) = (20_000, 0, false);
    for _ in 0..1_300 {
        // It comes with less than it may have, as soon as its turn has gone on to another.
        if !was_its_own && schedule.len_of("a", "t3") == 0 {
            for _ in 0..9 {
                seq += 1;
                schedule.accept(entry(seq, "t3", "a"), Moment(0));
            }
        }
        was_its_own = schedule.take("a", None).is_some_and(|id| id.as_u128() >= 20_000);
        had += usize::from(was_its_own);
    }
    assert!((890..=1_010).contains(&had), "{had} of 1300, beside three of a tenth of its weight each");
}

#[test]
fn tenants_that_have_nothing_are_not_remembered_once_nobody_waits_for_them() {
    let mut schedule = in_the_round(2, Weights::default());
    for tenant in 0..100 {
        schedule.accept(entry(20_000 + tenant, &format!("once{tenant}"), "a"), Moment(0));
        let taken = schedule.take("a", None).unwrap();
        schedule.leased(taken);
        schedule.ended(taken, Moment(0));
    }
    for _ in 0..4 {
        schedule.take("a", None);
    }
    assert_eq!(schedule.agents["a"].tenants(), 2);
}
