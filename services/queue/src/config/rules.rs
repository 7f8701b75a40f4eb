//! What one key alone cannot show.

use std::time::Duration;

use holdfast_config::{Invalid, Size};

use super::Config;

/// Larger payloads belong into a store of their own, with a reference in the payload.
const PAYLOAD_MAX: Size = Size::from_mib(64);
/// A part cannot have more than all.
const OVER_ITEMS: &str = "must not be more than queue.depth_max, which bounds it too";
const OVER_BYTES: &str = "must not be more than queue.depth_bytes_max, which bounds it too";

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        let holds_one = |limit: Option<Size>| limit.is_none_or(|limit| limit >= self.payload_max);
        let rules = [
            (self.lease_ttl.0 >= Duration::from_millis(100), "lease_ttl", "must be 100ms at least"),
            (self.stream_grace.0 <= self.lease_ttl.0, "stream_grace", "must not be longer than queue.lease_ttl"),
            (self.lost_leases_max > 0, "lost_leases_max", "must be 1 at least"),
            (self.attempts_max > 0, "attempts_max", "must be 1 at least"),
            (
                (1..=self.attempts_max).contains(&self.attempts),
                "attempts",
                "must be 1 at least and not more than queue.attempts_max",
            ),
            (
                self.backoff_initial.0 <= self.backoff_max.0,
                "backoff_initial",
                "must not be longer than queue.backoff_max",
            ),
            ((1.0..=100.0).contains(&self.backoff_multiplier), "backoff_multiplier", "must be from 1 to 100"),
            (is_payload(self.payload_max), "payload_max", "must be at least 1B and at most 64MiB"),
            (is_payload(self.result_max), "result_max", "must be at least 1B and at most 64MiB"),
            (
                self.chunk_max.bytes() > 0 && self.chunk_max <= self.report_bytes_max,
                "chunk_max",
                "must be at least 1B, and fit into queue.report_bytes_max",
            ),
            (self.reports_max > 0, "reports_max", "must be 1 at least"),
            (self.report_ttl.0 <= self.retention.0, "report_ttl", "must not be longer than queue.retention"),
            (self.idempotency_ttl.0 <= self.retention.0, "idempotency_ttl", "must not be longer than queue.retention"),
            (self.retention_max > 0, "retention_max", "must be 1 at least"),
            (self.depth_max > 0, "depth_max", "must be 1 at least"),
            (self.agent_depth_max != Some(0), "agent_depth_max", "must be 1 at least"),
            (self.tenant_depth_max != Some(0), "tenant_depth_max", "must be 1 at least"),
            (holds_one(self.agent_depth_bytes_max), "agent_depth_bytes_max", "must hold at least one payload"),
            (holds_one(self.tenant_depth_bytes_max), "tenant_depth_bytes_max", "must hold at least one payload"),
            (self.agent_depth_max <= Some(self.depth_max), "agent_depth_max", OVER_ITEMS),
            (self.tenant_depth_max <= Some(self.depth_max), "tenant_depth_max", OVER_ITEMS),
            (self.agent_depth_bytes_max <= Some(self.depth_bytes_max), "agent_depth_bytes_max", OVER_BYTES),
            (self.tenant_depth_bytes_max <= Some(self.depth_bytes_max), "tenant_depth_bytes_max", OVER_BYTES),
            (self.depth_soft > 0.0 && self.depth_soft <= 1.0, "depth_soft", "must be more than 0 and at most 1"),
            (self.retry_after_max.0 >= Duration::from_millis(100), "retry_after_max", "must be 100ms at least"),
            (self.payload_max <= self.depth_bytes_max, "depth_bytes_max", "must hold at least one payload"),
            (self.credits_max > 0, "credits_max", "must be 1 at least"),
            (self.workers_max > 0, "workers_max", "must be 1 at least"),
            (self.calls_per_stream_max > 0, "calls_per_stream_max", "must be 1 at least"),
            (self.watches_max > 0, "watches_max", "must be 1 at least"),
            (!self.lease_wait_max.is_zero(), "lease_wait_max", "must be longer than nothing"),
            (
                self.unread_bytes_max >= self.payload_max.max(self.result_max),
                "unread_bytes_max",
                "must hold at least one payload and one result",
            ),
            (self.store_patience.0 >= Duration::from_millis(100), "store_patience", "must be 100ms at least"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, key, why)) => Err(Invalid::new(format!("queue.{key}"), why)),
            None => self.validate_tenants(),
        }
    }

    /// What is agreed with a tenant must be possible.
    fn validate_tenants(&self) -> Result<(), Invalid> {
        for (name, agreed) in self.tenants.iter() {
            let rules = [
                (agreed.depth_max <= Some(self.depth_max), "depth_max", OVER_ITEMS),
                (agreed.depth_bytes_max <= Some(self.depth_bytes_max), "depth_bytes_max", OVER_BYTES),
            ];
            if let Some((_, key, why)) = rules.into_iter().find(|(holds, ..)| !holds) {
                return Err(Invalid::new(format!("tenants.{name}.{key}"), why));
            }
        }
        Ok(())
    }
}

fn is_payload(size: Size) -> bool {
    size.bytes() > 0 && size <= PAYLOAD_MAX
}
