//! Work by agent type.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::history::History;
use super::super::known::Known;
use super::super::metrics::Sample;
use super::services::total;

/// One agent type.
#[derive(Debug, Default)]
pub(crate) struct Agent<'a> {
    pub(crate) name: String,
    /// Of the key's tenant; nothing where the gateway does not say.
    pub(crate) queued: Option<u64>,
    pub(crate) leased: Option<u64>,
    /// The age of the oldest that waits.
    pub(crate) oldest: Option<Duration>,
    /// Of all tenants, as the queue's own metrics have it.
    pub(crate) queued_of_all: Option<f64>,
    /// How long those waited that were leased lately, whatever tenant's.
    pub(crate) wait_p50: Option<Duration>,
    pub(crate) wait_p99: Option<Duration>,
    /// How many end in a second, whatever tenant's.
    pub(crate) drain: Option<f64>,
    pub(crate) trend: Option<&'a VecDeque<u64>>,
}

/// Every agent type that has work, had some, or is told of.
pub(crate) fn agents(known: &Known) -> Vec<Agent<'_>> {
    let histories: Vec<&History> = known.of("queue").map(|process| &process.history).collect();
    let depths = known.depths.get();
    let told: BTreeMap<&str, _> = depths.into_iter().flatten().map(|depth| (depth.agent.as_str(), depth)).collect();
    let mut names: BTreeSet<&str> = known.trends.keys().map(String::as_str).collect();
    names.extend(histories.iter().flat_map(|history| history.newest("holdfast_queue_depth")).map(|s| s.label("agent")));
    let agent = |name: &str| {
        let of_it = |sample: &Sample| sample.label("agent") == name;
        // Several queue processes share what waits: each tells the whole of it.
        let all = histories.iter().filter_map(|history| history.sum("holdfast_queue_depth", of_it));
        let waited = |of| histories.iter().filter_map(|h| h.quantile("holdfast_queue_wait_seconds", of, of_it)).max();
        let depth = told.get(name);
        Agent {
            name: name.to_owned(),
            queued: depths.map(|_| depth.map_or(0, |depth| depth.queued)),
            leased: depths.map(|_| depth.map_or(0, |depth| depth.leased)),
            oldest: depth.filter(|depth| depth.queued > 0).map(|depth| super::span(depth.oldest_age.as_ref())),
            queued_of_all: all.reduce(f64::max),
            wait_p50: waited(0.5),
            wait_p99: waited(0.99),
            drain: total(histories.iter().filter_map(|history| history.sum("holdfast_queue_drain_rate", of_it))),
            trend: known.trends.get(name),
        }
    };
    names.into_iter().filter(|name| !name.is_empty()).map(agent).collect()
}
