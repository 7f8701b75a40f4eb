//! Providers' keys with their limits, the lines in front of models, and tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::llm::v1::{KeyHealth, LimitKind};

use super::super::known::Known;
use super::super::metrics::Sample;
use super::services::total;

/// A key, with one of its limits: the whole of a key is as many of these as it has limits.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) provider: &'a str,
    pub(crate) name: &'a str,
    pub(crate) health: KeyHealth,
    /// How long it still rests.
    pub(crate) rest: Duration,
    pub(crate) in_flight: u32,
    /// How often the provider has said 429 of it.
    pub(crate) refused: Option<f64>,
    pub(crate) limit: Option<Limit<'a>>,
}

/// A limit.
#[derive(Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) kind: LimitKind,
    /// Empty means all models.
    pub(crate) model: &'a str,
    pub(crate) limit: u64,
    pub(crate) available: u64,
}

impl Limit<'_> {
    /// The part of it that is free.
    pub(crate) fn free(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.available as f64 / self.limit as f64 }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            LimitKind::Unspecified => "unknown",
            LimitKind::Requests => "requests",
            LimitKind::Tokens => "tokens",
            LimitKind::InputTokens => "input tokens",
            LimitKind::OutputTokens => "output tokens",
            LimitKind::Concurrency => "at once",
            LimitKind::RequestsPerDay => "requests a day",
            LimitKind::TokensPerDay => "tokens a day",
        }
    }
}

pub(crate) fn keys(known: &Known) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    for provider in known.capacity.get().into_iter().flatten() {
        for key in &provider.keys {
            let of_it = |s: &Sample| s.label("provider") == provider.provider && s.label("key") == key.name;
            let refused =
                || known.of("llm-proxy").filter_map(|p| p.history.sum("holdfast_llm_provider_429_total", of_it));
            let one = |limit| Key {
                provider: &provider.provider,
                name: &key.name,
                health: key.health(),
                rest: super::span(key.rest.as_ref()),
                in_flight: key.in_flight,
                refused: total(refused()),
                limit,
            };
            if key.limits.is_empty() {
                keys.push(one(None));
            }
            keys.extend(key.limits.iter().map(|limit| {
                let (kind, model) = (limit.kind(), limit.upstream_model.as_str());
                one(Some(Limit { kind, model, limit: limit.limit, available: limit.available }))
            }));
        }
    }
    keys
}

/// A line in front of a provider's model.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) waiting: u64,
    pub(crate) waiting_tokens: u64,
    /// How long a small call would wait that came now.
    pub(crate) wait: Duration,
}

pub(crate) fn lines(known: &Known) -> Vec<Line<'_>> {
    let providers = known.capacity.get().into_iter().flatten();
    let lines = providers.flat_map(|provider| provider.lines.iter().map(|line| (provider.provider.as_str(), line)));
    lines
        .map(|(provider, line)| Line {
            provider,
            model: &line.upstream_model,
            waiting: line.waiting,
            waiting_tokens: line.waiting_tokens,
            wait: super::span(line.wait.as_ref()),
        })
        .collect()
}

/// Tokens of one model by one tenant's agent, read and written.
#[derive(Debug, Default)]
pub(crate) struct TokenUse {
    pub(crate) model: String,
    pub(crate) tenant: String,
    pub(crate) agent: String,
    pub(crate) input: f64,
    pub(crate) output: f64,
    /// In a second.
    pub(crate) input_rate: Option<f64>,
    pub(crate) output_rate: Option<f64>,
}

/// Since the llm-proxy's start; those that had to be estimated count too.
pub(crate) fn tokens(known: &Known) -> Vec<TokenUse> {
    let mut uses: BTreeMap<(String, String, String), TokenUse> = BTreeMap::new();
    for process in known.of("llm-proxy") {
        for name in ["holdfast_llm_tokens_total", "holdfast_llm_tokens_estimated_total"] {
            for sample in process.history.newest(name) {
                let [model, tenant, agent] = ["model", "tenant", "agent"].map(|label| sample.label(label).to_owned());
                let rate = process.history.rate(name, |other| other.labels == sample.labels);
                let used = uses.entry((model, tenant, agent)).or_default();
                let (sum, rates) = match sample.label("direction") {
                    "output" => (&mut used.output, &mut used.output_rate),
                    _ => (&mut used.input, &mut used.input_rate),
                };
                *sum += sample.value;
                *rates = total([*rates, rate].into_iter().flatten());
            }
        }
    }
    let named = |((model, tenant, agent), used)| TokenUse { model, tenant, agent, ..used };
    uses.into_iter().map(named).collect()
}
