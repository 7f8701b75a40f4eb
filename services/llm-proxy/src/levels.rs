//! A background duty: shows how much of each limit is free. Time frees it, without any event, so it is sampled.

use std::{collections::HashSet, sync::Arc, time::Duration};

use holdfast_rpc::service::Stop;

use crate::{
    metrics::levels::{self, Limit},
    model::House,
};

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the service stops.
pub(crate) async fn run(houses: Vec<Arc<House>>, stop: Stop) {
    let mut shown = HashSet::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => shown = sample(&houses, shown),
        }
    }
}

/// Shows what there is, and that what was shown before and is not there any more has nothing left.
fn sample(houses: &[Arc<House>], before: HashSet<Limit>) -> HashSet<Limit> {
    let mut shown = HashSet::with_capacity(before.len());
    for house in houses {
        for key in house.gate.capacity().keys {
            for capacity in &key.limits {
                let model = capacity.model.as_deref().unwrap_or_default().to_owned();
                let (provider, key) = (house.name.clone(), key.name.to_string());
                let limit = Limit { provider, key, model, kind: capacity.kind };
                levels::level(&limit, capacity);
                shown.insert(limit);
            }
        }
    }
    before.difference(&shown).for_each(levels::removed);
    shown
}
