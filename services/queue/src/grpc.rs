//! The wire: decode, call, encode.

mod calls;
mod check;
mod convert;
mod decode;
mod filter;
mod work;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use holdfast_proto::queue::v1 as pb;
use holdfast_proto::queue::v1::queue_service_server::QueueService;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Caller, Error, deadline, time, trace};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::queue::{LeaseAsk, Queue};
use decode::Decoder;

/// Before a call's deadline passes, a call that waits for leases answers that there are none.
const DEADLINE_MARGIN: Duration = Duration::from_millis(100);

/// The queue over gRPC.
pub struct Service {
    queue: Queue,
    decoder: Arc<Decoder>,
    stop: Stop,
}

impl Service {
    /// Streams end when `stop` is cancelled.
    #[must_use]
    pub fn new(queue: Queue, stop: Stop) -> Self {
        let decoder = Arc::new(Decoder::new(queue.config().clone()));
        Self { queue, decoder, stop }
    }
}

/// To which tenant a caller is confined.
fn confined<T>(request: &Request<T>) -> Option<Arc<str>> {
    Caller::of(request).named_tenant().map(Arc::from)
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl QueueService for Service {
    type EnqueueStreamStream = calls::Answers;
    type WatchInvocationStream = Answers<pb::WatchInvocationResponse>;
    type WorkStream = work::Answers;

    async fn enqueue(&self, request: Request<pb::EnqueueRequest>) -> Result<Response<pb::EnqueueResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let mut submission = self.decoder.submission(&caller, request.into_inner())?;
        if submission.traceparent.is_empty() {
            submission.traceparent = trace::outgoing().unwrap_or_default();
        }
        let enqueued = self.queue.enqueue(submission).await?;
        Ok(Response::new(enqueued.into()))
    }

    async fn enqueue_stream(
        &self,
        request: Request<Streaming<pb::EnqueueStreamRequest>>,
    ) -> Result<Response<Self::EnqueueStreamStream>, Status> {
        let caller = Caller::of(&request).clone();
        let calls = calls::Calls::new(self.queue.clone(), Arc::clone(&self.decoder), caller);
        Ok(Response::new(calls.serve(request.into_inner(), self.stop.clone())))
    }

    async fn get_invocation(
        &self,
        request: Request<pb::GetInvocationRequest>,
    ) -> Result<Response<pb::GetInvocationResponse>, Status> {
        let tenant = confined(&request);
        let id = decode::id("invocation_id", &request.get_ref().invocation_id)?;
        let record = self.queue.get(tenant.as_deref(), id).await?;
        Ok(Response::new(pb::GetInvocationResponse { invocation: Some(convert::invocation(record)) }))
    }

    async fn list_invocations(
        &self,
        request: Request<pb::ListInvocationsRequest>,
    ) -> Result<Response<pb::ListInvocationsResponse>, Status> {
        let tenant = confined(&request);
        let filter = filter::list(tenant.as_deref(), request.into_inner())?;
        Ok(Response::new(self.queue.list(filter).await?.into()))
    }

    async fn watch_invocation(
        &self,
        request: Request<pb::WatchInvocationRequest>,
    ) -> Result<Response<Self::WatchInvocationStream>, Status> {
        let tenant = confined(&request).map(|tenant| tenant.to_string());
        let pb::WatchInvocationRequest { invocation_id, from_offset } = request.into_inner();
        let id = decode::id("invocation_id", &invocation_id)?;
        let events = self.queue.watch(tenant, id, from_offset, self.stop.clone()).await?;
        let answers = ReceiverStream::new(events).map(|event| {
            let event = event.map_err(Status::from)?;
            Ok(pb::WatchInvocationResponse { event: Some(event.into()) })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn cancel_invocation(
        &self,
        request: Request<pb::CancelInvocationRequest>,
    ) -> Result<Response<pb::CancelInvocationResponse>, Status> {
        let tenant = confined(&request);
        let pb::CancelInvocationRequest { invocation_id, reason } = request.into_inner();
        let id = decode::id("invocation_id", &invocation_id)?;
        let reason = self.decoder.message("reason", reason)?;
        let record = self.queue.cancel(tenant, id, reason).await?;
        Ok(Response::new(pb::CancelInvocationResponse { invocation: Some(convert::invocation(record)) }))
    }

    async fn redrive_invocations(
        &self,
        request: Request<pb::RedriveInvocationsRequest>,
    ) -> Result<Response<pb::RedriveInvocationsResponse>, Status> {
        let tenant = confined(&request);
        let ask = filter::redrive(tenant, request.into_inner())?;
        Ok(Response::new(self.queue.redrive(ask).await?.into()))
    }

    async fn list_depths(
        &self,
        request: Request<pb::ListDepthsRequest>,
    ) -> Result<Response<pb::ListDepthsResponse>, Status> {
        let depths = self.queue.depths(confined(&request).as_deref());
        Ok(Response::new(pb::ListDepthsResponse { depths: depths.into_iter().map(Into::into).collect() }))
    }

    async fn work(&self, request: Request<Streaming<pb::WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let tenant = confined(&request);
        let work = work::Work::new(self.queue.clone(), Arc::clone(&self.decoder), tenant);
        Ok(Response::new(work.serve(request.into_inner(), self.stop.clone())))
    }

    async fn lease(&self, request: Request<pb::LeaseRequest>) -> Result<Response<pb::LeaseResponse>, Status> {
        let tenant = confined(&request);
        let pb::LeaseRequest { worker, agents, max_leases, wait } = request.into_inner();
        let wait = match &wait {
            Some(wait) => time::span(wait).ok_or_else(|| Error::invalid("wait", "is not a span of time"))?,
            None => Duration::ZERO,
        };
        let left = deadline::remaining().map(|left| left.saturating_sub(DEADLINE_MARGIN));
        let config = self.queue.config();
        let ask = LeaseAsk {
            worker: self.decoder.worker(&worker)?,
            agents: self.decoder.agents(&agents)?,
            tenant,
            leases_max: max_leases.clamp(1, config.credits_max),
            wait: wait.min(*config.lease_wait_max).min(left.unwrap_or(Duration::MAX)),
        };
        let lease = self.queue.lease(ask);
        let leases = tokio::select! {
            leases = lease => leases?,
            () = self.stop.cancelled() => Vec::new(),
        };
        Ok(Response::new(pb::LeaseResponse { leases: leases.into_iter().map(Into::into).collect() }))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        let tenant = confined(&request);
        let tokens = self.decoder.heartbeat(request.into_inner())?;
        let renewals = self.queue.heartbeat(tenant.as_deref(), tokens).await?;
        Ok(Response::new(convert::renewals(renewals)))
    }

    async fn report_progress(
        &self,
        request: Request<pb::ReportProgressRequest>,
    ) -> Result<Response<pb::ReportProgressResponse>, Status> {
        let tenant = confined(&request);
        let (token, telling) = self.decoder.telling(request.into_inner());
        let offset = self.queue.tell(tenant.as_deref(), &token, telling?).await?;
        Ok(Response::new(pb::ReportProgressResponse { offset }))
    }

    async fn complete(&self, request: Request<pb::CompleteRequest>) -> Result<Response<pb::CompleteResponse>, Status> {
        let tenant = confined(&request);
        let (token, ending) = self.decoder.completion(request.into_inner());
        let settled = self.queue.settle(tenant.as_deref(), &token, ending?).await?;
        Ok(Response::new(pb::CompleteResponse { ended_at: Some(time::timestamp(settled.at)) }))
    }

    async fn fail(&self, request: Request<pb::FailRequest>) -> Result<Response<pb::FailResponse>, Status> {
        let tenant = confined(&request);
        let (token, ending) = self.decoder.failing(request.into_inner());
        let settled = self.queue.settle(tenant.as_deref(), &token, ending?).await?;
        Ok(Response::new(pb::FailResponse {
            state: convert::state(settled.status).into(),
            next_attempt_at: settled.next_at.map(time::timestamp),
        }))
    }

    async fn release(&self, request: Request<pb::ReleaseRequest>) -> Result<Response<pb::ReleaseResponse>, Status> {
        let tenant = confined(&request);
        let token = request.into_inner().token;
        self.queue.settle(tenant.as_deref(), &token, crate::queue::Ending::Release).await?;
        Ok(Response::new(pb::ReleaseResponse {}))
    }
}
