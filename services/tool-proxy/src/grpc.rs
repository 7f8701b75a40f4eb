//! The service on the wire: decode, call, encode.

mod circuits;
mod convert;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use holdfast_proto::tool::v1::tool_service_server::ToolService;
use holdfast_proto::tool::v1::{
    CallToolRequest, CallToolResponse, ListCircuitsRequest, ListCircuitsResponse, ListToolsRequest, ListToolsResponse,
    WatchCircuitsRequest, WatchCircuitsResponse,
};
use holdfast_rpc::{Caller, Error, Role, lease, service::Stop};
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, Span, field, info_span};

use crate::calls::{Calls, Command};
use crate::circuits::Circuits;
use crate::domain::{Outcome, Reply, Slot};

/// A record's partition has room for this much of a caller's key.
const KEY_BYTES_MAX: usize = 500;
/// Tools in one page: where none is asked for, and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// The tools of this mesh.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) calls: Arc<Calls>,
    pub(crate) circuits: Arc<Circuits>,
    pub(crate) arguments_bytes_max: usize,
    pub(crate) stop: Stop,
}

#[tonic::async_trait]
impl ToolService for Tools {
    async fn call_tool(&self, request: Request<CallToolRequest>) -> Result<Response<CallToolResponse>, Status> {
        let command = self.command(request)?;
        let span = span(&command);
        let reply = self.calls.call(command).instrument(span.clone()).await;
        tell(&span, &reply);
        Ok(Response::new(reply?.into()))
    }

    async fn list_tools(&self, request: Request<ListToolsRequest>) -> Result<Response<ListToolsResponse>, Status> {
        let request = request.into_inner();
        let size = match request.page_size as usize {
            0 => PAGE.0,
            size => size.min(PAGE.1),
        };
        let wanted = |name: &String| request.names.is_empty() || request.names.contains(name);
        let after = |name: &String| request.page_token.is_empty() || *name > request.page_token;
        let all = self.calls.catalog().iter().filter(|tool| wanted(&tool.name) && after(&tool.name));
        let mut tools: Vec<_> = all.take(size + 1).map(|tool| convert::tool(tool)).collect();
        let more = tools.len() > size;
        tools.truncate(size);
        let last = tools.last().filter(|_| more).map(|tool| tool.name.clone());
        Ok(Response::new(ListToolsResponse { tools, next_page_token: last.unwrap_or_default() }))
    }

    async fn list_circuits(&self, _: Request<ListCircuitsRequest>) -> Result<Response<ListCircuitsResponse>, Status> {
        let circuits = self.circuits.list().into_iter().map(Into::into).collect();
        Ok(Response::new(ListCircuitsResponse { circuits }))
    }

    type WatchCircuitsStream = Pin<Box<dyn Stream<Item = Result<WatchCircuitsResponse, Status>> + Send>>;

    async fn watch_circuits(
        &self,
        _: Request<WatchCircuitsRequest>,
    ) -> Result<Response<Self::WatchCircuitsStream>, Status> {
        Ok(Response::new(circuits::watch(Arc::clone(&self.circuits), self.stop.clone())))
    }
}

impl Tools {
    fn command(&self, request: Request<CallToolRequest>) -> Result<Command, Error> {
        let caller = Caller::of(&request);
        if caller.role == Role::Worker && caller.lease.is_none() {
            return Err(Error::precondition("LEASE_REQUIRED", "a worker calls tools under the lease of an invocation"));
        }
        let tenant = caller.tenant()?.to_owned();
        let scope = caller.lease.as_ref().map(|lease| (lease.invocation_id.clone(), lease.session.clone()));
        let token = request.metadata().get(lease::HEADER).and_then(|value| value.to_str().ok());
        let lease = scope.zip(token.map(str::to_owned));
        let call = request.into_inner();
        if call.arguments.len() > self.arguments_bytes_max {
            let why = format!("are {} bytes; at most {} are taken", call.arguments.len(), self.arguments_bytes_max);
            return Err(Error::invalid("arguments", why));
        }
        let slot = match lease {
            Some(((id, session), token)) => {
                Some(Slot::of_step(&tenant, &id, call.step, call.index, token).in_session(&session))
            }
            None if call.idempotency_key.is_empty() => None,
            None => Some(Slot::of_key(&tenant, checked(&call.idempotency_key)?)),
        };
        Ok(Command { tool: call.tool, arguments: call.arguments, tenant, slot })
    }
}

fn checked(key: &str) -> Result<&str, Error> {
    if key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        let why = format!("must be at most {KEY_BYTES_MAX} bytes without control characters");
        return Err(Error::invalid("idempotency_key", why));
    }
    Ok(key)
}

/// Arguments and answers stay out of it.
/// Source: <https://github.com/open-telemetry/semantic-conventions-genai>
fn span(command: &Command) -> Span {
    let invocation = command.slot.as_ref().filter(|slot| slot.lease.is_some()).map(|slot| slot.partition.as_str());
    info_span!(
        "execute_tool",
        otel.name = format!("execute_tool {}", command.tool),
        otel.kind = "client",
        otel.status_code = field::Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = command.tool,
        gen_ai.tool.r#type = "function",
        invocation_id = invocation,
        holdfast.tool.outcome = field::Empty,
        holdfast.tool.replayed = field::Empty,
        holdfast.tool.attempts = field::Empty,
        holdfast.tool.waited_ms = field::Empty,
        error.r#type = field::Empty,
    )
}

fn tell(span: &Span, reply: &Result<Reply, Error>) {
    match reply {
        Ok(reply) => {
            span.record("holdfast.tool.outcome", reply.answer.outcome.name());
            span.record("holdfast.tool.replayed", reply.replayed);
            span.record("holdfast.tool.attempts", reply.timing.attempts);
            span.record("holdfast.tool.waited_ms", reply.timing.waited.as_secs_f64() * 1e3);
            if !reply.answer.reason.is_empty() {
                span.record("error.type", &reply.answer.reason);
            }
            if !reply.replayed && !matches!(reply.answer.outcome, Outcome::Real | Outcome::ToolError) {
                let (outcome, reason) = (reply.answer.outcome.name(), &reply.answer.reason);
                span.in_scope(|| tracing::warn!(outcome, reason, "the tool did not answer: something else stands in"));
            }
        }
        Err(error) => {
            span.record("error.type", error.reason());
            span.record("otel.status_code", "ERROR");
        }
    }
}
