//! `InvocationService`: what callers submit is checked here and carried by the link; all else is asked of the queue as it is.

mod answers;
mod carried;
mod watch;

use std::sync::Arc;

use holdfast_proto::gateway::v1 as pb;
use holdfast_proto::queue::v1 as queue;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Caller, Channel, Error, client, id, trace};
use pb::invocation_service_server::InvocationService;
use tonic::{Request, Response, Status};

use crate::allowance::Account;
use crate::front::Sending;
use crate::link::{CallError, Lane, Reply, Ticket};
use crate::metrics;
use crate::submission::{self, Agents};

/// The service behind the contract.
pub(crate) struct Invocations {
    pub(crate) lane: Lane,
    pub(crate) queue: QueueServiceClient<Channel>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) payload_bytes_max: usize,
    pub(crate) stop: Stop,
}

impl Invocations {
    /// What the queue is asked, once nothing is wrong with it.
    fn enqueue(&self, caller: &Caller, spec: Option<queue::InvocationSpec>) -> Result<queue::EnqueueRequest, Error> {
        let tenant = caller.tenant()?.to_owned();
        let checked = submission::check(spec.as_ref(), self.payload_bytes_max);
        let agent = checked.map(|spec| &spec.agent).map_err(|bad| {
            metrics::refused("input");
            Error::invalid(bad.field, bad.why)
        })?;
        self.agents.admit(agent).map_err(|unknown| {
            metrics::refused("agent");
            Error::not_found(unknown)
        })?;
        Ok(queue::EnqueueRequest { tenant, spec, traceparent: trace::outgoing().unwrap_or_default() })
    }

    fn open(&self, request: queue::EnqueueRequest, waits: bool, own: &Arc<Account>) -> Result<Ticket, Status> {
        self.lane.open(request, waits, own).map_err(|error| {
            metrics::refused(if matches!(error, CallError::Full { .. }) { "full" } else { "queue" });
            answers::status(error)
        })
    }

    /// The end of an invocation, unless the call's time is over before, or this process drains.
    async fn ended(&self, ticket: &mut Ticket) -> Result<queue::Invocation, Status> {
        let deadline = answers::before_deadline();
        let too_late = tokio::select! {
            outcome = ticket.outcome() => return match outcome {
                Ok(Reply::Ended(invocation)) => Ok(*invocation),
                Ok(Reply::Accepted(_)) => Err(Error::internal("the queue answered a wait without an end").into()),
                Err(error) => Err(answers::status(error)),
            },
            () = deadline => Error::new(
                tonic::Code::DeadlineExceeded,
                "DEADLINE_EXCEEDED",
                "the call's deadline ended the wait; the invocation goes on",
            ),
            () = self.stop.cancelled() => Error::unavailable(
                "the gateway is draining; the invocation goes on, wait for it at another one",
                answers::RETRY_AFTER,
            ),
        };
        let too_late = if ticket.was_sent() { too_late.maybe_happened() } else { too_late };
        Err(answers::about(too_late, ticket.invocation_id()))
    }
}

#[tonic::async_trait]
impl InvocationService for Invocations {
    type WatchInvocationStream = watch::Events;

    async fn submit_invocation(
        &self,
        request: Request<pb::SubmitInvocationRequest>,
    ) -> Result<Response<pb::SubmitInvocationResponse>, Status> {
        let (caller, own) = (Caller::of(&request).clone(), sending(&request)?);
        let request = self.enqueue(&caller, request.into_inner().spec)?;
        match self.open(request, false, &own)?.outcome().await {
            Ok(Reply::Accepted(queue::EnqueueResponse { invocation_id, created })) => {
                Ok(Response::new(pb::SubmitInvocationResponse { invocation_id, created }))
            }
            Ok(Reply::Ended(_)) => Err(Error::internal("the queue answered a submit with an end").into()),
            Err(error) => Err(answers::status(error)),
        }
    }

    async fn run_invocation(
        &self,
        request: Request<pb::RunInvocationRequest>,
    ) -> Result<Response<pb::RunInvocationResponse>, Status> {
        let (caller, own) = (Caller::of(&request).clone(), sending(&request)?);
        let request = self.enqueue(&caller, request.into_inner().spec)?;
        let mut ticket = self.open(request, true, &own)?;
        let invocation = self.ended(&mut ticket).await?;
        Ok(Response::new(pb::RunInvocationResponse { invocation: Some(invocation) }))
    }

    async fn watch_invocation(
        &self,
        request: Request<pb::WatchInvocationRequest>,
    ) -> Result<Response<watch::Events>, Status> {
        let caller = Caller::of(&request).clone();
        let pb::WatchInvocationRequest { invocation_id, from_offset } = request.into_inner();
        let invocation_id = named(invocation_id)?;
        let ask = queue::WatchInvocationRequest { invocation_id, from_offset };
        let events = self.queue.clone().watch_invocation(client::on_behalf(Request::new(ask), &caller, None)?).await?;
        Ok(Response::new(watch::until_stop(events.into_inner(), self.stop.clone())))
    }

    async fn get_invocation(
        &self,
        request: Request<pb::GetInvocationRequest>,
    ) -> Result<Response<pb::GetInvocationResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let ask = queue::GetInvocationRequest { invocation_id: named(request.into_inner().invocation_id)? };
        let answer = self.queue.clone().get_invocation(client::on_behalf(Request::new(ask), &caller, None)?).await?;
        Ok(Response::new(pb::GetInvocationResponse { invocation: answer.into_inner().invocation }))
    }

    async fn list_invocations(
        &self,
        request: Request<pb::ListInvocationsRequest>,
    ) -> Result<Response<pb::ListInvocationsResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let ask = carried::list(request.into_inner());
        let answer = self.queue.clone().list_invocations(client::on_behalf(Request::new(ask), &caller, None)?).await?;
        let queue::ListInvocationsResponse { invocations, next_page_token } = answer.into_inner();
        Ok(Response::new(pb::ListInvocationsResponse { invocations, next_page_token }))
    }

    async fn cancel_invocation(
        &self,
        request: Request<pb::CancelInvocationRequest>,
    ) -> Result<Response<pb::CancelInvocationResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let pb::CancelInvocationRequest { invocation_id, reason } = request.into_inner();
        let ask = queue::CancelInvocationRequest { invocation_id: named(invocation_id)?, reason };
        let answer = self.queue.clone().cancel_invocation(client::on_behalf(Request::new(ask), &caller, None)?).await?;
        Ok(Response::new(pb::CancelInvocationResponse { invocation: answer.into_inner().invocation }))
    }

    async fn redrive_invocations(
        &self,
        request: Request<pb::RedriveInvocationsRequest>,
    ) -> Result<Response<pb::RedriveInvocationsResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let ask = carried::redrive(request.into_inner());
        let answer =
            self.queue.clone().redrive_invocations(client::on_behalf(Request::new(ask), &caller, None)?).await?;
        Ok(Response::new(carried::redriven(answer.into_inner())))
    }
}

/// What the tenant's requests hold that are on their way to the queue.
fn sending<T>(request: &Request<T>) -> Result<Arc<Account>, Error> {
    let Sending(own) =
        request.extensions().get().ok_or_else(|| Error::internal("nobody said whose bytes these are"))?;
    Ok(Arc::clone(own))
}

/// An invocation's id, where it can be one.
fn named(invocation_id: String) -> Result<String, Error> {
    if id::is_valid(&invocation_id) {
        return Ok(invocation_id);
    }
    metrics::refused("input");
    let why = if invocation_id.is_empty() { "is required" } else { "is not an invocation's id (a UUID)" };
    Err(Error::invalid("invocation_id", why))
}
