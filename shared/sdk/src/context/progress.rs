//! What those who watch an invocation get to see.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::queue::v1::{
    self as pb, invocation_event::Progress, queue_service_client::QueueServiceClient, report_progress_request::Event,
};
use holdfast_rpc::deadline;
use tokio::time::Instant;

use crate::{Context, Error, calls::Caller};

/// Work does not stand still for its watchers: an event that cannot be told within this long is dropped.
const REPORT_MAX: Duration = Duration::from_secs(5);

impl Context {
    /// Says how far the work is: to people, and as a fraction where there is one. Nothing waits for it, and where the
    /// queue is away it is lost.
    pub async fn progress(&self, message: impl Into<String>, fraction: Option<f64>) {
        let event = Event::Progress(Progress { message: message.into(), fraction });
        if let Err(error) = self.report(event).await {
            tracing::debug!(invocation_id = self.id(), %error, "an event was dropped");
        }
    }

    /// Sends a part of the output, after those sent before it. The output as a whole is what the handler returns.
    ///
    /// # Errors
    /// Where it is not certain that watchers have it. It is not sent twice.
    pub async fn chunk(&self, data: impl Into<Bytes>) -> Result<(), Error> {
        self.report(Event::Chunk(data.into())).await
    }

    async fn report(&self, event: Event) -> Result<(), Error> {
        let end = Instant::now() + REPORT_MAX;
        let _turn = self.0.reporting.lock().await;
        self.0.caller.ready(end).await?;
        let request = pb::ReportProgressRequest { token: self.0.held.token.clone(), event: Some(event) };
        let mut queue = QueueServiceClient::new(self.0.links.queue.clone());
        loop {
            let answer = deadline::scope(Some(end), queue.report_progress(request.clone())).await;
            let error = match answer {
                Ok(_) => return Ok(()),
                Err(status) => Error::from(status),
            };
            if let (Caller::Holder(held), Error::LeaseGone { reason }) = (&self.0.caller, &error) {
                held.lose(reason);
            }
            // Only what surely did not happen is tried again, or a watcher would see it twice.
            match error.retry_after() {
                Some(wait) if !error.may_have_happened() && Instant::now() + wait < end => {
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }
}
