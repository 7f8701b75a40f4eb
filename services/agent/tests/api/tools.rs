//! Tools that answer by their name, with recorded calls.

use std::collections::HashMap;

use futures::stream::Empty;
use holdfast_proto::tool::v1::{self as pb, tool_service_server::ToolService};
use holdfast_rpc::{Error, lease, time};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::{Barrier, Semaphore, watch};
use tonic::{Request, Response, Status};

/// The name, whatever it is, of each tool that there is.
pub const NAMES: [&str; 7] = ["echo", "both", "gate", "strict", "stale", "broken", "unsure"];

pub struct Tools {
    /// By the lease's invocation is not needed: a test has one invocation that calls.
    recorded: Mutex<HashMap<(u32, u32), pb::CallToolResponse>>,
    /// Calls that reached a tool, with their places.
    sent: watch::Sender<Vec<(String, u32, u32)>>,
    /// Two calls of `both` pass together or not at all.
    barrier: Barrier,
    /// Calls of `gate` wait for it.
    pub gate: Semaphore,
    /// How long the description of `huge` is, where there is such a tool.
    pub huge: Mutex<Option<usize>>,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            recorded: Mutex::default(),
            sent: watch::Sender::default(),
            barrier: Barrier::new(2),
            gate: Semaphore::new(0),
            huge: Mutex::default(),
        }
    }
}

impl Tools {
    pub fn sent(&self) -> Vec<(String, u32, u32)> {
        self.sent.borrow().clone()
    }

    /// Waits until so many calls reached a tool.
    pub async fn sent_times(&self, times: usize) {
        self.sent.subscribe().wait_for(|sent| sent.len() >= times).await.expect("the tools are ours");
    }

    async fn answer(&self, call: pb::CallToolRequest) -> Result<pb::CallToolResponse, Status> {
        let real = |content| pb::CallToolResponse {
            content,
            content_type: "application/json".into(),
            outcome: pb::Outcome::Real.into(),
            ..Default::default()
        };
        let instead = |outcome: pb::Outcome| pb::CallToolResponse {
            outcome: outcome.into(),
            degraded_reason: "CIRCUIT_OPEN".into(),
            age: (outcome == pb::Outcome::Cached).then(|| time::duration(Duration::from_secs(60))),
            ..real(br#"{"advice":"ask a person"}"#.to_vec().into())
        };
        match call.tool.as_str() {
            "both" => {
                self.barrier.wait().await;
                Ok(real(call.arguments))
            }
            "gate" => {
                let _ = self.gate.acquire().await.expect("never closed");
                Ok(real(call.arguments))
            }
            "strict" => Err(Error::invalid("arguments", "\"id\" is required").into()),
            "stale" => Ok(instead(pb::Outcome::Cached)),
            "broken" => Ok(instead(pb::Outcome::Unavailable)),
            "unsure" => Ok(instead(pb::Outcome::Unknown)),
            _ => Ok(real(call.arguments)),
        }
    }
}

#[tonic::async_trait]
impl ToolService for Tools {
    type WatchCircuitsStream = Empty<Result<pb::WatchCircuitsResponse, Status>>;

    async fn call_tool(&self, request: Request<pb::CallToolRequest>) -> Result<Response<pb::CallToolResponse>, Status> {
        if request.metadata().get(lease::HEADER).is_none() {
            return Err(Error::precondition("LEASE_REQUIRED", "a worker's call needs its lease").into());
        }
        let call = request.into_inner();
        let place = (call.step, call.index);
        if let Some(first) = self.recorded.lock().get(&place) {
            return Ok(Response::new(pb::CallToolResponse { replayed: true, ..first.clone() }));
        }
        self.sent.send_modify(|sent| sent.push((call.tool.clone(), call.step, call.index)));
        let answer = self.answer(call).await?;
        self.recorded.lock().insert(place, answer.clone());
        Ok(Response::new(answer))
    }

    async fn list_tools(
        &self,
        request: Request<pb::ListToolsRequest>,
    ) -> Result<Response<pb::ListToolsResponse>, Status> {
        let wanted = request.into_inner().names;
        let tool = |name: &str, description: String| pb::Tool {
            name: name.into(),
            description,
            input_schema: br#"{"type":"object"}"#.to_vec().into(),
            effect: pb::Effect::ReadOnly.into(),
            fallbacks: vec![pb::FallbackKind::Unavailable.into()],
            simulated: false,
        };
        let plain = NAMES.iter().map(|name| tool(name, format!("{name} does what it says")));
        let huge = self.huge.lock().map(|bytes| tool("huge", "x".repeat(bytes)));
        let tools = plain.chain(huge).filter(|tool| wanted.is_empty() || wanted.contains(&tool.name)).collect();
        Ok(Response::new(pb::ListToolsResponse { tools, next_page_token: String::new() }))
    }

    async fn list_circuits(
        &self,
        _: Request<pb::ListCircuitsRequest>,
    ) -> Result<Response<pb::ListCircuitsResponse>, Status> {
        Ok(Response::new(pb::ListCircuitsResponse::default()))
    }

    async fn watch_circuits(
        &self,
        _: Request<pb::WatchCircuitsRequest>,
    ) -> Result<Response<Self::WatchCircuitsStream>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
    }

    async fn set_circuit(&self, _: Request<pb::SetCircuitRequest>) -> Result<Response<pb::SetCircuitResponse>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
    }
}
