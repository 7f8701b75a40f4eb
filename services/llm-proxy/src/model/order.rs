//! The order in which a call tries a model's deployments.

/// The places of a list. Those with a weight are drawn, the heavier the likelier first, and stand where the first of them
/// stands; those without keep their places. `draw` gives a number below its argument.
pub(crate) fn order(weights: &[Option<u32>], mut draw: impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut bowl: Vec<(usize, u64)> =
        weights.iter().enumerate().filter_map(|(at, weight)| Some((at, u64::from((*weight)?)))).collect();
    let first = bowl.first().map_or(weights.len(), |(at, _)| *at);
    let mut order: Vec<usize> = (0..first).collect();
    let mut total: u64 = bowl.iter().map(|(_, weight)| weight).sum();
    while !bowl.is_empty() {
        // The last needs no luck.
        let mut ball = if bowl.len() == 1 { 0 } else { draw(total) };
        let hit = bowl.iter().position(|(_, weight)| {
            let hit = ball < *weight;
            ball = ball.saturating_sub(*weight);
            hit
        });
        let (at, weight) = bowl.remove(hit.unwrap_or(0));
        total -= weight;
        order.push(at);
    }
    order.extend((first..weights.len()).filter(|at| weights[*at].is_none()));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::SmallRng};

    use super::order;

    proptest! {
        #[test]
        fn every_deployment_stands_in_the_order_once_and_those_without_a_weight_keep_theirs(
            weights in prop::collection::vec(prop::option::of(1_u32..9), 0..8),
            seed: u64,
        ) {
            let mut dice = SmallRng::seed_from_u64(seed);
            let order = order(&weights, |most| dice.random_range(0..most));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..weights.len()).collect::<Vec<_>>());
            let plain = |at: &&usize| weights[**at].is_none();
            prop_assert!(order.iter().filter(plain).is_sorted(), "{:?}", order);
            if let Some(first) = weights.iter().position(Option::is_some) {
                let drawn: Vec<_> = order.iter().map(|at| weights[*at].is_some()).collect();
                let many = drawn.iter().filter(|drawn| **drawn).count();
                prop_assert!(drawn[first..first + many].iter().all(|drawn| *drawn), "{:?}", order);
            }
        }
    }

    #[test]
    fn the_first_place_is_shared_by_the_weights() {
        let mut dice = SmallRng::seed_from_u64(7);
        let mut firsts = [0_u32; 3];
        for _ in 0..8_000 {
            firsts[order(&[Some(1), Some(3), Some(4)], |most| dice.random_range(0..most))[0]] += 1;
        }
        for (at, share) in [(0, 1_000_u32), (1, 3_000), (2, 4_000)] {
            assert!(firsts[at].abs_diff(share) < share / 8, "{firsts:?}");
        }
    }
}
