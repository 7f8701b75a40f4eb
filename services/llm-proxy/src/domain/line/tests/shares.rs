//! What start-time fair queueing promises: of two tenants that both wait, neither gets ahead of the other by more than a call
//! of each, whatever came before, however heavy they are.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Arrivals and starts in some order: `Some` brings so many calls of a tenant and of a size, `None` starts one.
type Step = Option<(usize, u8, u16)>;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..5_usize, 1_u8..20, 1_u16..5_000).prop_map(Some),
        6 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn two_that_wait_get_the_same_for_their_weight(weights in vec(1_u32..=20, 5), steps in vec(step(), 50..300)) {
        let mut line = line();
        let mut waiting = [0_u32; 5];
        let mut had = [0.0_f64; 5];
        let mut largest = [0.0_f64; 5];
        // For each two: what each had had when both began to wait together.
        let mut since = [[None; 5]; 5];
        for step in steps {
            if let Some((tenant, count, tokens)) = step {
                largest[tenant] = largest[tenant].max(f64::from(tokens) / f64::from(weights[tenant]));
                waiting[tenant] += u32::from(count);
                for _ in 0..count {
                    wait(&mut line, at(0), Want { weight: weights[tenant], ..want(&tenant.to_string(), 0, tokens.into()) });
                }
            } else if let Some((waiter, _)) = start(&mut line, &Blocked::default()) {
                let tenant: usize = waiter.want.tenant.parse().expect("a number");
                waiting[tenant] -= 1;
                had[tenant] += waiter.want.need.total() as f64 / f64::from(weights[tenant]);
            }
            for one in 0..5 {
                for other in 0..one {
                    if waiting[one] == 0 || waiting[other] == 0 {
                        since[one][other] = None;
                        continue;
                    }
                    let (before_one, before_other) = *since[one][other].get_or_insert((had[one], had[other]));
                    let ahead = ((had[one] - before_one) - (had[other] - before_other)).abs();
                    prop_assert!(ahead <= largest[one] + largest[other] + 0.01, "{one} and {other} are {ahead} apart");
                }
            }
        }
    }
}
