use std::{pin::Pin, sync::Arc};

use futures::Stream;
use holdfast_proto::queue::v1::{self as pb, queue_service_server::QueueService};
use holdfast_rpc::Error;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Answer, End, Queue, Worker};

/// The queue as a service.
pub struct Service(pub Arc<Queue>);

#[tonic::async_trait]
impl QueueService for Service {
    type WorkStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;
    type EnqueueStreamStream = tokio_stream::Empty<Result<pb::EnqueueStreamResponse, Status>>;
    type WatchInvocationStream = tokio_stream::Empty<Result<pb::WatchInvocationResponse, Status>>;

    async fn work(&self, request: Request<Streaming<pb::WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let (down, answers) = mpsc::unbounded_channel();
        let stream = rand::random();
        self.0.inner.lock().streams.push(Worker { stream, agents: vec![], credits: 0, down });
        let (queue, mut requests) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                queue.receive(stream, request.message.expect("a worker says something"));
            }
            queue.change(|inner| inner.streams.retain(|worker| worker.stream != stream));
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(answers))))
    }

    async fn report_progress(
        &self,
        request: Request<pb::ReportProgressRequest>,
    ) -> Result<Response<pb::ReportProgressResponse>, Status> {
        let report = request.into_inner();
        self.0.change(|inner| match inner.leases.contains_key(&report.token) {
            true => {
                inner.events.extend(report.event);
                Ok(Response::new(pb::ReportProgressResponse { offset: inner.events.len() as u64 }))
            }
            false => Err(Error::precondition("LEASE_LOST", "the lease is another's").into()),
        })
    }

    async fn enqueue(&self, _: Request<pb::EnqueueRequest>) -> Result<Response<pb::EnqueueResponse>, Status> {
        Err(unused())
    }

    async fn get_invocation(
        &self,
        _: Request<pb::GetInvocationRequest>,
    ) -> Result<Response<pb::GetInvocationResponse>, Status> {
        Err(unused())
    }

    async fn list_invocations(
        &self,
        _: Request<pb::ListInvocationsRequest>,
    ) -> Result<Response<pb::ListInvocationsResponse>, Status> {
        Err(unused())
    }

    async fn cancel_invocation(
        &self,
        _: Request<pb::CancelInvocationRequest>,
    ) -> Result<Response<pb::CancelInvocationResponse>, Status> {
        Err(unused())
    }

    async fn redrive_invocations(
        &self,
        _: Request<pb::RedriveInvocationsRequest>,
    ) -> Result<Response<pb::RedriveInvocationsResponse>, Status> {
        Err(unused())
    }

    async fn list_depths(&self, _: Request<pb::ListDepthsRequest>) -> Result<Response<pb::ListDepthsResponse>, Status> {
        Err(unused())
    }

    async fn lease(&self, _: Request<pb::LeaseRequest>) -> Result<Response<pb::LeaseResponse>, Status> {
        Err(unused())
    }

    async fn heartbeat(&self, _: Request<pb::HeartbeatRequest>) -> Result<Response<pb::HeartbeatResponse>, Status> {
        Err(unused())
    }

    async fn complete(&self, _: Request<pb::CompleteRequest>) -> Result<Response<pb::CompleteResponse>, Status> {
        Err(unused())
    }

    async fn fail(&self, _: Request<pb::FailRequest>) -> Result<Response<pb::FailResponse>, Status> {
        Err(unused())
    }

    async fn release(&self, request: Request<pb::ReleaseRequest>) -> Result<Response<pb::ReleaseResponse>, Status> {
        self.0.change(|inner| inner.settle(0, request.into_inner().token, End::Released));
        Ok(Response::new(pb::ReleaseResponse {}))
    }

    async fn enqueue_stream(
        &self,
        _: Request<Streaming<pb::EnqueueStreamRequest>>,
    ) -> Result<Response<Self::EnqueueStreamStream>, Status> {
        Err(unused())
    }

    async fn watch_invocation(
        &self,
        _: Request<pb::WatchInvocationRequest>,
    ) -> Result<Response<Self::WatchInvocationStream>, Status> {
        Err(unused())
    }
}

fn unused() -> Status {
    Status::unimplemented("not part of the stand-in")
}
