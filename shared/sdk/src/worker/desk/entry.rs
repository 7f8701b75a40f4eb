//! One lease on the desk.

use std::sync::Arc;

use holdfast_proto::queue::v1::work_request::Message as Up;
use tokio::time::Instant;

use crate::{held::Held, worker::report::Report};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) held: Arc<Held>,
    /// What the handler came to; `None` while it runs.
    pub(super) report: Option<Report>,
    /// When the report goes out again, after a refusal that passes.
    pub(super) again: Option<Instant>,
    /// Such refusals so far.
    pub(super) refusals: u32,
}

impl Entry {
    pub(super) fn new(held: Arc<Held>) -> Self {
        Self { held, report: None, again: None, refusals: 0 }
    }

    pub(super) fn token(&self) -> String {
        self.held.token.clone()
    }

    /// The report, if there is one. A result that is larger than the queue takes would break the stream for all leases of
    /// this worker, and the next stream, too: it is refused here as the queue would refuse it.
    pub(super) fn send(&mut self, result_bytes_max: Option<u64>) -> Option<Up> {
        self.again = None;
        let report = self.report.as_mut()?;
        if let (Some(bytes), Some(max)) = (report.result_bytes(), result_bytes_max)
            && bytes > max
        {
            tracing::warn!(bytes, max, "a result is larger than the queue takes: it is not sent");
            report.refuse(&format!("result: has {bytes} bytes; at most {max} are taken"));
        }
        Some(report.to_wire(&self.held.token))
    }
}
