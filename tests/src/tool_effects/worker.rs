//! The workers of an invocation, one after another: each begins with the first call, for it knows nothing of the one before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse};
use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::status;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::script::{End, Invocation, Moment};
use super::tool::Place;

/// Between two tries to reach a proxy that is being started.
const AGAIN: Duration = Duration::from_millis(20);

/// What the workers of a run have in common.
pub(super) struct Work {
    pub(super) url: String,
    pub(super) key: LeaseKey,
    pub(super) told: Mutex<Told>,
}

/// What the workers were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Every answer to a call, in its order.
    pub(super) answers: HashMap<Place, Vec<CallToolResponse>>,
    pub(super) killed: u64,
    pub(super) zombies: u64,
    /// The tools of calls that were refused to the superseded.
    pub(super) fenced: Vec<&'static str>,
    /// Refusals for which there is no reason.
    pub(super) strange: Vec<String>,
}

/// How far a worker is: the step, and whether it is before its call, in it, or past it.
type Progress = (u32, u8);
const BEFORE: u8 = 0;
const UNDER: u8 = 1;
const ANSWERED: u8 = 2;

/// Runs an invocation until its last worker has got through.
pub(super) async fn through_all_kills(work: Arc<Work>, invocation: Invocation) {
    let mut zombies = Vec::new();
    let mut attempt = 0;
    for end in invocation.ends.clone() {
        attempt += 1;
        let (tell, progress) = watch::channel((0, BEFORE));
        let worker = tokio::spawn(live(Arc::clone(&work), invocation.clone(), attempt, tell));
        its_time_comes(progress, end).await;
        if end.zombie {
            work.told.lock().zombies += 1;
            zombies.push(worker);
        } else {
            work.told.lock().killed += 1;
            worker.abort();
        }
    }
    let (tell, _progress) = watch::channel((0, BEFORE));
    live(Arc::clone(&work), invocation, attempt + 1, tell).await;
    for zombie in zombies {
        zombie.await.expect("a worker does not panic");
    }
}

async fn its_time_comes(mut progress: watch::Receiver<Progress>, end: End) {
    let (moment, pause) = match end.moment {
        Moment::Before => (BEFORE, Duration::ZERO),
        Moment::Under(pause) => (UNDER, pause),
        Moment::Answered => (ANSWERED, Duration::ZERO),
    };
    // A worker that has ended comes no further.
    let came = progress.wait_for(|now| *now >= (end.step, moment)).await.is_ok();
    if came && !pause.is_zero() {
        sleep(pause).await;
    }
}

/// One worker's life: all calls, in their order.
async fn live(work: Arc<Work>, invocation: Invocation, attempt: u32, progress: watch::Sender<Progress>) {
    let lease = work.lease(&invocation.name, attempt);
    // Its own connection, which ends with it.
    let channel = Channel::from_shared(work.url.clone()).expect("the mesh's own URL").connect_lazy();
    let mut tools = ToolServiceClient::new(channel);
    for (step, call) in (0..).zip(&invocation.steps) {
        progress.send_replace((step, BEFORE));
        tokio::task::yield_now().await;
        let request = CallToolRequest {
            tool: call.tool.into(),
            arguments: json!({"invocation": invocation.name, "step": step}).to_string().into(),
            step,
            ..CallToolRequest::default()
        };
        progress.send_replace((step, UNDER));
        match insist(&mut tools, &request, &lease).await {
            Ok(answer) => {
                let place = (invocation.name.clone(), step);
                work.told.lock().answers.entry(place).or_default().push(answer);
            }
            Err(refused) if status::reason(&refused).as_deref() == Some("FENCED") => {
                work.told.lock().fenced.push(call.tool);
                return;
            }
            Err(refused) => {
                work.told.lock().strange.push(format!("{} step {step}: {refused:?}", invocation.name));
                return;
            }
        }
        progress.send_replace((step, ANSWERED));
        tokio::task::yield_now().await;
    }
}

/// Calls until there is an answer, or a refusal that does not pass.
async fn insist(
    tools: &mut ToolServiceClient<Channel>,
    call: &CallToolRequest,
    lease: &str,
) -> Result<CallToolResponse, Status> {
    loop {
        let mut request = Request::new(call.clone());
        request.metadata_mut().insert("holdfast-lease", lease.parse().expect("a token is plain text"));
        match tools.call_tool(request).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(away) if passes(&away) => sleep(AGAIN).await,
            Err(refused) => return Err(refused),
        }
    }
}

/// The proxy is away, or went away with the call: it is not the proxy that says so, or it says when to come back.
fn passes(refused: &Status) -> bool {
    status::reason(refused).is_none() || refused.code() == Code::Unavailable
}
