//! The service on the wire: decode, call, encode.

mod circuits;
mod convert;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use holdfast_proto::tool::v1::tool_service_server::ToolService;
use holdfast_proto::tool::v1::{
    CallToolRequest, CallToolResponse, ListCircuitsRequest, ListCircuitsResponse, ListToolsRequest, ListToolsResponse,
    SetCircuitRequest, SetCircuitResponse, WatchCircuitsRequest, WatchCircuitsResponse,
};
use holdfast_rpc::{Caller, Error, Role, lease, service::Stop};
use tonic::{Request, Response, Status};

use self::circuits::Viewer;
use crate::calls::{Calls, Command};
use crate::catalog::{self, Tool};
use crate::circuits::Circuits;
use crate::domain::{Reply, Slot, User};

/// A record's partition has room for this much of a caller's key.
const KEY_BYTES_MAX: usize = 500;
/// Tools in one page: where no number is asked for, and at most.
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
        let caller = Caller::of(&request).clone();
        let token = request.metadata().get(lease::HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let reply = self.call(&caller, token.as_deref(), request.into_inner()).await?;
        Ok(Response::new(reply.into()))
    }

    async fn list_tools(&self, request: Request<ListToolsRequest>) -> Result<Response<ListToolsResponse>, Status> {
        let shown = self.shown_to(Caller::of(&request));
        let request = request.into_inner();
        let size = match request.page_size as usize {
            0 => PAGE.0,
            size => size.min(PAGE.1),
        };
        let names: HashSet<_> = request.names.iter().map(String::as_str).collect();
        let wanted = |name: &str| names.is_empty() || names.contains(name);
        let after = |name: &str| request.page_token.is_empty() || *name > *request.page_token;
        let all = shown.iter().filter(|tool| wanted(&tool.name) && after(&tool.name));
        let (page, more) = catalog::page(all, size);
        let last = page.last().filter(|_| more).map(|tool| tool.name.clone());
        let tools = page.into_iter().map(|tool| convert::tool(tool)).collect();
        Ok(Response::new(ListToolsResponse { tools, next_page_token: last.unwrap_or_default() }))
    }

    async fn list_circuits(
        &self,
        request: Request<ListCircuitsRequest>,
    ) -> Result<Response<ListCircuitsResponse>, Status> {
        let seen = Viewer::new(&self.calls, Caller::of(&request)).see(self.circuits.list());
        let circuits = seen.into_iter().map(Into::into).collect();
        Ok(Response::new(ListCircuitsResponse { circuits }))
    }

    async fn set_circuit(&self, request: Request<SetCircuitRequest>) -> Result<Response<SetCircuitResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let report = circuits::set(&self.circuits, &caller, request.into_inner()).await?;
        Ok(Response::new(SetCircuitResponse { circuit: Some(report.into()) }))
    }

    type WatchCircuitsStream = Pin<Box<dyn Stream<Item = Result<WatchCircuitsResponse, Status>> + Send>>;

    async fn watch_circuits(
        &self,
        request: Request<WatchCircuitsRequest>,
    ) -> Result<Response<Self::WatchCircuitsStream>, Status> {
        let viewer = Viewer::new(&self.calls, Caller::of(&request));
        Ok(Response::new(circuits::watch(Arc::clone(&self.circuits), viewer, self.stop.clone())))
    }
}

impl Tools {
    /// The one way in, whatever the protocol. The token is the one that the caller's lease was read from.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        token: Option<&str>,
        call: CallToolRequest,
    ) -> Result<Reply, Error> {
        self.calls.call(self.command(caller, token, call)?).await
    }

    /// The tools that a caller may use, by name.
    pub(crate) fn shown_to(&self, caller: &Caller) -> Vec<Arc<Tool>> {
        let user = User::from(caller);
        self.calls.catalog().tools().values().filter(|tool| tool.permission.admits(&user)).cloned().collect()
    }

    fn command(&self, caller: &Caller, token: Option<&str>, call: CallToolRequest) -> Result<Command, Error> {
        if caller.role == Role::Worker && caller.lease.is_none() {
            return Err(Error::precondition("LEASE_REQUIRED", "a worker calls tools under the lease of an invocation"));
        }
        let (tenant, user) = (caller.tenant()?.to_owned(), User::from(caller));
        let scope = caller.lease.as_ref().map(|lease| (lease.invocation_id.clone(), lease.session.clone()));
        let lease = scope.zip(token.map(str::to_owned));
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
        Ok(Command { tool: call.tool, arguments: call.arguments, tenant, user, slot })
    }
}

fn checked(key: &str) -> Result<&str, Error> {
    if key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        let why = format!("must be at most {KEY_BYTES_MAX} bytes without control characters");
        return Err(Error::invalid("idempotency_key", why));
    }
    Ok(key)
}
