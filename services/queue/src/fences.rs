//! A background duty: tells state of fences that were raised from outside of the work.
//!
//! The outbox is a table, so a crash forgets none; who cancels does not wait for state. Raising twice does no harm.

use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::state::v1::RaiseFenceRequest;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_resilience::Backoff;
use holdfast_rpc::Channel;
use holdfast_rpc::service::Stop;
use tonic::{Request, Status};

use crate::metrics;
use crate::queue::Queue;
use crate::store::{Raise, RaiseScope};

/// Fences raised at once.
const BATCH_MAX: usize = 100;
/// State answers within this long, or is asked again.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Between two tries while state is away.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));

/// Runs until the queue stops. What is left in the outbox is for the next process.
pub async fn run(queue: Queue, state: StateServiceClient<Channel>, stop: Stop) {
    let mut failed = 0;
    loop {
        match raise_batch(&queue, &state).await {
            Ok(0) => {
                failed = 0;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = queue.raised() => {}
                }
            }
            Ok(_) => failed = 0,
            Err(status) => {
                failed += 1;
                tracing::warn!(error = status.message(), failed, "fences could not be raised; they will be");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(BACKOFF.delay(failed, &mut rand::rng())) => {}
                }
            }
        }
    }
}

/// Raises what the outbox holds first; how many were done. An error when one of them was not.
async fn raise_batch(queue: &Queue, state: &StateServiceClient<Channel>) -> Result<usize, Status> {
    let raises = queue.raises(BATCH_MAX).await?;
    let outcomes = join_all(raises.iter().map(|raise| raise_one(state.clone(), raise))).await;
    let mut failure = None;
    let mut done = Vec::new();
    for (raise, outcome) in raises.iter().zip(outcomes) {
        match outcome {
            Ok(()) => done.push(raise.raise),
            Err(status) => failure = Some(status),
        }
    }
    let count = done.len();
    if count > 0 {
        queue.forget_raises(done).await?;
        metrics::fences_raised(count);
    }
    failure.map_or(Ok(count), Err)
}

async fn raise_one(mut state: StateServiceClient<Channel>, raise: &Raise) -> Result<(), Status> {
    let mut message = RaiseFenceRequest { tenant: raise.tenant.clone(), fence: raise.fence, ..Default::default() };
    match &raise.scope {
        RaiseScope::Session(session) => message.session.clone_from(session),
        RaiseScope::Invocation(id) => message.invocation_id = id.to_string(),
    }
    let mut request = Request::new(message);
    request.set_timeout(CALL_MAX);
    state.raise_fence(request).await.map(|_| ())
}
