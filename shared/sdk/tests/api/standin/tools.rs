use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use holdfast_proto::tool::v1::{self as pb, tool_service_server::ToolService};
use holdfast_rpc::{Error, lease};
use parking_lot::Mutex;
use tokio_stream::Empty;
use tonic::{Request, Response, Status};

/// One tool, `echo`, with recorded calls.
#[derive(Default)]
pub struct Tools {
    recorded: Mutex<HashMap<(u32, u32), pb::CallToolResponse>>,
    pub sent: AtomicU32,
    /// Every call is answered "unavailable".
    pub away: AtomicBool,
    /// So many calls are made first, and their answers lost without a word.
    pub lose_answers: AtomicU32,
    /// After these, so many calls are answered "full".
    pub full: AtomicU32,
}

fn takes_one(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[tonic::async_trait]
impl ToolService for Tools {
    type WatchCircuitsStream = Empty<Result<pb::WatchCircuitsResponse, Status>>;

    async fn call_tool(&self, request: Request<pb::CallToolRequest>) -> Result<Response<pb::CallToolResponse>, Status> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::unavailable("away", Duration::from_millis(10)).into());
        }
        if takes_one(&self.lose_answers) {
            self.sent.fetch_add(1, Ordering::SeqCst);
            return Err(Status::unavailable("broken"));
        }
        if takes_one(&self.full) {
            return Err(Error::exhausted("full", Duration::from_millis(10)).into());
        }
        if request.get_ref().step > 0 && request.metadata().get(lease::HEADER).is_none() {
            return Err(Error::precondition("LEASE_REQUIRED", "a worker's call needs its lease").into());
        }
        let call = request.into_inner();
        let mut recorded = self.recorded.lock();
        if let Some(first) = recorded.get(&(call.step, call.index)) {
            return Ok(Response::new(pb::CallToolResponse { replayed: true, ..first.clone() }));
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        let answer = pb::CallToolResponse {
            content: call.arguments,
            content_type: "application/json".into(),
            outcome: pb::Outcome::Real.into(),
            ..Default::default()
        };
        recorded.insert((call.step, call.index), answer.clone());
        Ok(Response::new(answer))
    }

    async fn list_tools(&self, _: Request<pb::ListToolsRequest>) -> Result<Response<pb::ListToolsResponse>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
    }

    async fn list_circuits(
        &self,
        _: Request<pb::ListCircuitsRequest>,
    ) -> Result<Response<pb::ListCircuitsResponse>, Status> {
        Err(Status::unimplemented("not part of the stand-in"))
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
