//! Tokens as counters. Names of tenants and agents are the callers': only so many are told apart.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use parking_lot::RwLock;

use crate::{domain::Usage, metrics::accounts::Tokens};

/// Tenants told apart, and agents of each; further ones are [`OTHER`].
const TENANTS_MAX: usize = 200;
const AGENTS_MAX: usize = 50;
const OTHER: &str = "other";

/// All counters, as they are needed.
#[derive(Debug, Default)]
pub(super) struct Meters {
    calls: RwLock<Tenants>,
    keys: Arc<Keys>,
}

#[derive(Debug, Default)]
struct Tenants(HashMap<String, HashMap<String, HashMap<String, Arc<Meter>>>>);

/// By provider and key. Both are the configuration's.
#[derive(Debug, Default)]
struct Keys(RwLock<HashMap<String, HashMap<String, Arc<Tokens>>>>);

/// The counters of one model, tenant and agent.
#[derive(Debug)]
pub(crate) struct Meter {
    counted: Tokens,
    estimated: OnceLock<Tokens>,
    labels: [String; 3],
    keys: Arc<Keys>,
}

impl Meters {
    pub(super) fn of(&self, tenant: &str, agent: &str, model: &str) -> Arc<Meter> {
        if let Some(meter) = self.calls.read().find(tenant, agent, model) {
            return meter;
        }
        let mut calls = self.calls.write();
        let (tenant, agent) = calls.shown(tenant, agent);
        if let Some(meter) = calls.find(tenant, agent, model) {
            return meter;
        }
        let meter = Arc::new(Meter {
            counted: Tokens::of_call(model, tenant, agent),
            estimated: OnceLock::new(),
            labels: [model.to_owned(), tenant.to_owned(), agent.to_owned()],
            keys: Arc::clone(&self.keys),
        });
        let agents = calls.0.entry(tenant.to_owned()).or_default();
        agents.entry(agent.to_owned()).or_default().insert(model.to_owned(), Arc::clone(&meter));
        meter
    }
}

impl Tenants {
    fn find(&self, tenant: &str, agent: &str, model: &str) -> Option<Arc<Meter>> {
        let (tenant, agent) = self.shown(tenant, agent);
        self.0.get(tenant)?.get(agent)?.get(model).cloned()
    }

    /// Under which names somebody is counted.
    fn shown<'n>(&self, tenant: &'n str, agent: &'n str) -> (&'n str, &'n str) {
        let Some(agents) = self.0.get(tenant) else {
            return if self.0.len() < TENANTS_MAX { (tenant, agent) } else { (OTHER, OTHER) };
        };
        let known = agents.contains_key(agent) || agents.len() < AGENTS_MAX;
        (tenant, if known { agent } else { OTHER })
    }
}

impl Keys {
    fn of(&self, provider: &str, key: &str) -> Arc<Tokens> {
        if let Some(tokens) = self.0.read().get(provider).and_then(|keys| keys.get(key)) {
            return Arc::clone(tokens);
        }
        let mut keys = self.0.write();
        let of_provider = keys.entry(provider.to_owned()).or_default();
        let new = || Arc::new(Tokens::of_key(provider, key));
        Arc::clone(of_provider.entry(key.to_owned()).or_insert_with(new))
    }
}

impl Meter {
    /// By the provider.
    pub(super) fn counted(&self, usage: Usage, (provider, key): (&str, &str)) {
        self.counted.add(usage);
        self.keys.of(provider, key).add(usage);
    }

    /// Nobody said: what it must be taken for.
    pub(super) fn estimated(&self, usage: Usage) {
        let [model, tenant, agent] = &self.labels;
        self.estimated.get_or_init(|| Tokens::of_lost_call(model, tenant, agent)).add(usage);
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn only_so_many_names_are_told_apart() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let one = Usage { input_tokens: 1, output_tokens: 0 };
        with_local_recorder(&recorder, || {
            let meters = Meters::default();
            for tenant in 0..TENANTS_MAX + 20 {
                meters.of(&format!("t{tenant}"), "", "m").counted(one, ("p", "k"));
            }
            for agent in 0..AGENTS_MAX + 20 {
                meters.of("t0", &format!("a{agent}"), "m").counted(one, ("p", "k"));
            }
            // Who was told apart stays so.
            meters.of("t7", "", "m").counted(one, ("p", "k"));
        });
        let page = page.render();
        let count = |of: &str| {
            let line = page.lines().find(|line| line.contains(of) && line.contains("direction=\"input\""));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        };
        assert_eq!(count("tenant=\"other\",agent=\"other\""), Some(20));
        assert_eq!(count("tenant=\"t0\",agent=\"other\""), Some(21), "without an agent is a name too");
        assert_eq!(count("tenant=\"t7\""), Some(2));
        assert_eq!(count("key=\"k\""), Some((TENANTS_MAX + AGENTS_MAX + 41) as u64));
    }
}
