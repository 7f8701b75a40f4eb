//! `[queue]`: parsed once, into types that cannot be wrong.

mod rules;

use std::time::Duration;

use holdfast_config::{ConfigError, Document, Mesh, Size, Span, Tenant, Tenants};
use holdfast_resilience::Backoff;
use holdfast_rpc::service::Settings;
use serde::Deserialize;

use crate::domain::depth::{Limit, Limits, part};
use crate::domain::retry::RetryPolicy;
use crate::domain::weights::Weights;
use crate::store::Keep;

/// The queue's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub address: String,
    /// How long a lease lasts from its grant or renewal.
    pub lease_ttl: Span,
    /// How long a worker's broken stream has to come back before its leases are freed.
    pub stream_grace: Span,
    /// Lost leases that end an invocation.
    pub lost_leases_max: u32,
    /// Attempts where a submission names none.
    pub attempts: u32,
    /// The first delay's bound where a submission names none.
    pub backoff_initial: Span,
    /// Every delay's bound where a submission names none.
    pub backoff_max: Span,
    /// Factor between one bound and the next where a submission names none.
    pub backoff_multiplier: f64,
    /// The most attempts that a submission may name.
    pub attempts_max: u32,
    /// Largest payload.
    pub payload_max: Size,
    /// Largest result.
    pub result_max: Size,
    /// Largest chunk of output, and largest message of progress.
    pub chunk_max: Size,
    /// Reports (progress and chunks) kept of one invocation.
    pub reports_max: usize,
    /// Their bytes.
    pub report_bytes_max: Size,
    /// How long what workers told is kept after the invocation's end.
    pub report_ttl: Span,
    /// How long an invocation is kept after its last end.
    pub retention: Span,
    /// How many invocations are kept: beyond that the oldest that have ended go earlier.
    pub retention_max: u64,
    /// How long an idempotency key stands for its first invocation, from its acceptance; never shorter than that lives.
    pub idempotency_ttl: Span,
    /// Labels of one invocation.
    pub labels_max: usize,
    /// Invocations that may wait.
    pub depth_max: u64,
    /// Bytes of their payloads.
    pub depth_bytes_max: Size,
    /// Invocations of one agent type that may wait; absent means as many as in all.
    pub agent_depth_max: Option<u64>,
    /// Bytes of their payloads.
    pub agent_depth_bytes_max: Option<Size>,
    /// Invocations of one tenant that may wait; absent means up to the soft mark of all, so that one tenant alone does not
    /// fill the queue.
    pub tenant_depth_max: Option<u64>,
    /// Bytes of their payloads.
    pub tenant_depth_bytes_max: Option<Size>,
    /// The part of a limit from which on a tenant that holds more than its share of what waits gets nothing more in.
    pub depth_soft: f64,
    /// The longest time that a refusal names, before it is spread.
    pub retry_after_max: Span,
    /// What is agreed with single tenants: `[tenants.NAME]`.
    #[serde(skip)]
    pub tenants: Tenants,
    /// What a point of priority is worth: so much longer waiting.
    pub priority_ageing: Span,
    /// Payloads kept at hand for workers that are ready, so that they are not read back from the disk.
    pub hot_bytes_max: Size,
    /// Leases that one worker may ask for at once.
    pub credits_max: u32,
    /// Workers' streams and waiting lease calls at once.
    pub workers_max: usize,
    /// Calls open at once on one stream of many calls.
    pub calls_per_stream_max: usize,
    /// Watches at once.
    pub watches_max: usize,
    /// What is on its way to one slow reader of a stream.
    pub unread_bytes_max: Size,
    /// The longest that a lease call waits.
    pub lease_wait_max: Span,
    /// How long the store may take for an answer before whoever waits is told that it is away.
    pub store_patience: Span,
    /// How long the thread that writes looks for what comes next before it sleeps, at most: `mesh.busy_poll`.
    #[serde(skip)]
    pub busy_poll: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7071".into(),
            lease_ttl: Span::from_secs(10),
            stream_grace: Span::from_secs(2),
            lost_leases_max: 20,
            attempts: 5,
            backoff_initial: Span::from_secs(1),
            backoff_max: Span::from_secs(60),
            backoff_multiplier: 2.0,
            attempts_max: 100,
            payload_max: Size::from_mib(1),
            result_max: Size::from_mib(1),
            chunk_max: Size::from_kib(64),
            reports_max: 1_000,
            report_bytes_max: Size::from_mib(1),
            report_ttl: Span::from_secs(24 * 3_600),
            retention: Span::from_secs(7 * 24 * 3_600),
            retention_max: 10_000_000,
            idempotency_ttl: Span::from_secs(24 * 3_600),
            labels_max: 32,
            depth_max: 100_000,
            depth_bytes_max: Size::from_mib(1_024),
            agent_depth_max: None,
            agent_depth_bytes_max: None,
            tenant_depth_max: None,
            tenant_depth_bytes_max: None,
            depth_soft: 0.8,
            retry_after_max: Span::from_secs(60),
            tenants: Tenants::default(),
            priority_ageing: Span::from_secs(10),
            hot_bytes_max: Size::from_mib(32),
            credits_max: 10_000,
            workers_max: 10_000,
            calls_per_stream_max: 50_000,
            watches_max: 10_000,
            unread_bytes_max: Size::from_mib(16),
            lease_wait_max: Span::from_secs(60),
            store_patience: Span::from_secs(5),
            busy_poll: Duration::ZERO,
        }
    }
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let mut config: Self = document.section("queue")?;
        config.tenants = document.section("tenants")?;
        config.busy_poll = *document.section::<Mesh>("mesh")?.busy_poll;
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.address
    }
}

impl Config {
    /// The policy where a submission names none.
    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            attempts_max: self.attempts,
            backoff: Backoff {
                initial: self.backoff_initial.0,
                max: self.backoff_max.0,
                multiplier: self.backoff_multiplier,
            },
            final_reasons: Vec::new(),
        }
    }

    /// What may wait, of whom. Every limit holds at least one payload.
    pub(crate) fn limits(&self) -> Limits {
        let bytes = |size: Size| size.max(self.payload_max).bytes() as u64;
        let total = Limit { items: self.depth_max, bytes: bytes(self.depth_bytes_max) };
        let agent = Limit {
            items: self.agent_depth_max.unwrap_or(total.items),
            bytes: self.agent_depth_bytes_max.map_or(total.bytes, bytes),
        };
        let tenant = Limit {
            items: self.tenant_depth_max.unwrap_or_else(|| part(self.depth_soft, total.items)),
            bytes: self
                .tenant_depth_bytes_max
                .map_or_else(|| part(self.depth_soft, total.bytes).max(self.payload_max.bytes() as u64), bytes),
        };
        let own = |(name, agreed): (&str, &Tenant)| {
            let items = agreed.depth_max.unwrap_or(tenant.items);
            (name.to_owned(), Limit { items, bytes: agreed.depth_bytes_max.map_or(tenant.bytes, bytes) })
        };
        let tenants = self.tenants.iter().map(own).collect();
        Limits { total, agent, tenant, tenants, soft: self.depth_soft, hint_max: self.retry_after_max.0 }
    }

    /// The tenants' shares.
    pub(crate) fn weights(&self) -> Weights {
        self.tenants.iter().map(|(name, agreed)| (name, agreed.weight)).collect()
    }

    pub(crate) fn keep(&self) -> Keep {
        Keep { items: self.reports_max, bytes: self.report_bytes_max.bytes() }
    }

    /// Renewals may be late twice before a lease is lost.
    pub(crate) fn heartbeat_interval(&self) -> Duration {
        self.lease_ttl.0 / 3
    }
}

#[cfg(test)]
mod tests;
