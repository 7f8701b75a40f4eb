//! The circuits: their news as a stream, and what an operator says of one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use holdfast_proto::tool::v1::{CircuitMode, SetCircuitRequest, WatchCircuitsResponse};
use holdfast_resilience::breaker::Mode;
use holdfast_rpc::{Caller, Error, Role, service::Stop};
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use crate::calls::Calls;
use crate::circuits::{Circuits, Kind, Report};
use crate::domain::User;

/// When a watcher may come back to a process that drains.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An operator's reason, at most.
const REASON_BYTES_MAX: usize = 500;

type News = Pin<Box<dyn Stream<Item = Result<WatchCircuitsResponse, Status>> + Send>>;

/// Somebody who looks, and what is theirs to see: an operator's everything; of anybody else the circuits of the tools that they
/// may use, without what operators said of them. Hosts are the operators' affair.
pub(super) struct Viewer {
    calls: Arc<Calls>,
    user: User,
}

impl Viewer {
    pub(super) fn new(calls: &Arc<Calls>, caller: &Caller) -> Self {
        Self { calls: Arc::clone(calls), user: User::from(caller) }
    }

    /// Of these, what is theirs.
    pub(super) fn see(&self, circuits: Vec<Report>) -> Vec<Report> {
        if self.user == User::Operator {
            return circuits;
        }
        let tools = self.calls.catalog().tools();
        let may_use = |name: &str| tools.get(name).is_some_and(|tool| tool.permission.admits(&self.user));
        let theirs = circuits.into_iter().filter(|circuit| circuit.kind == Kind::Tool && may_use(&circuit.name));
        theirs.map(|circuit| Report { word: None, ..circuit }).collect()
    }
}

/// How everything stands, then each change. A watcher that fell behind is told how everything stands again.
pub(super) fn watch(circuits: Arc<Circuits>, viewer: Viewer, stop: Stop) -> News {
    // First the ears, then the look: what changes in between is told twice rather than never.
    let changes = BroadcastStream::new(circuits.watch());
    let first = stream::iter(viewer.see(circuits.list()));
    let later = changes
        .flat_map(move |change| stream::iter(viewer.see(change.map_or_else(|_| circuits.list(), |one| vec![one]))));
    let draining = Error::unavailable("the tool-proxy is draining", RETRY_AFTER);
    let last = stream::once(async move { Err(Status::from(draining)) });
    let news = first.chain(later).map(|circuit| Ok(told(circuit)));
    Box::pin(news.take_until(async move { stop.cancelled().await }).chain(last))
}

fn told(circuit: Report) -> WatchCircuitsResponse {
    WatchCircuitsResponse { circuit: Some(circuit.into()) }
}

/// What an operator says of a circuit. In force here, and kept, once this returns.
pub(super) async fn set(circuits: &Circuits, caller: &Caller, request: SetCircuitRequest) -> Result<Report, Error> {
    if !matches!(caller.role, Role::Operator | Role::Mesh) {
        return Err(Error::permission_denied("circuits are opened and closed by operators"));
    }
    let mode = match request.mode() {
        CircuitMode::Unspecified => return Err(Error::invalid("mode", "is missing: open, closed or auto")),
        CircuitMode::Auto => Mode::Auto,
        CircuitMode::Open => Mode::ForcedOpen,
        CircuitMode::Closed => Mode::ForcedClosed,
    };
    if request.reason.len() > REASON_BYTES_MAX || request.reason.chars().any(char::is_control) {
        let why = format!("must be at most {REASON_BYTES_MAX} bytes without control characters");
        return Err(Error::invalid("reason", why));
    }
    circuits.set(&request.name, mode, &caller.principal, &request.reason).await
}
