//! A background duty: tells state of fences that were raised from outside of the work.
//!
//! The outbox is a table, so a crash forgets none; who cancels does not wait for state. Raising twice does no harm. It is
//! gone through in order, round and round: what failed is passed over until its next turn, so that it holds up nobody else.
//! Where processes share it, each raises at once what it made itself, and what others made only when these do not.

mod turns;

use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::state::v1::RaiseFenceRequest;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_resilience::Backoff;
use holdfast_rpc::Channel;
use holdfast_rpc::service::Stop;
use tokio::time::Instant;
use tonic::{Request, Status};

use crate::metrics;
use crate::queue::Queue;
use crate::store::{Raise, RaiseScope};
use turns::Turns;

/// Fences raised at once.
const BATCH_MAX: usize = 100;
/// State answers within this long, or is asked again.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Between two tries while state is away.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));
/// Between two looks at an outbox into which others put something too.
const SHARED_EVERY: Duration = Duration::from_secs(2);
/// How long others have to raise what they made.
const OTHERS_FIRST: Duration = Duration::from_secs(3);

/// Runs until the queue stops. What is left in the outbox is for the next process.
pub async fn run(queue: Queue, state: StateServiceClient<Channel>, stop: Stop) {
    let mut turns = Turns::default();
    let mut failed = 0;
    // What is there at a start was left behind.
    let mut own = true;
    loop {
        let wait = match round(&queue, &state, &mut turns, own).await {
            Ok(()) => {
                failed = 0;
                let shared = queue.has_company().then(|| Instant::now() + SHARED_EVERY);
                turns.next().into_iter().chain(shared).min()
            }
            Err(status) => {
                failed += 1;
                tracing::warn!(error = status.message(), failed, "the outbox cannot be read; it will be");
                Some(Instant::now() + BACKOFF.delay(failed, &mut rand::rng()))
            }
        };
        let sleep = async {
            match wait {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = queue.raised() => own = true,
            () = sleep => own = !queue.has_company(),
        }
    }
}

/// Goes through the outbox once. `own` says that this process has put something into it. An error when it could not be read
/// or written.
async fn round(queue: &Queue, state: &StateServiceClient<Channel>, turns: &mut Turns, own: bool) -> Result<(), Status> {
    let began = Instant::now();
    let mut after = 0;
    loop {
        let raises = queue.raises(after, BATCH_MAX).await?;
        let Some(last) = raises.last() else {
            turns.met_all_since(began);
            return Ok(());
        };
        after = last.raise;
        let now = Instant::now();
        if !own {
            raises.iter().for_each(|raise| turns.leave_to_others(raise.raise, now + OTHERS_FIRST));
        }
        let due: Vec<&Raise> = raises.iter().filter(|raise| turns.is_due(raise.raise, now)).collect();
        raise_batch(queue, state, &due, turns).await?;
    }
}

/// Raises these; those that state refuses have their next turn later.
async fn raise_batch(
    queue: &Queue,
    state: &StateServiceClient<Channel>,
    raises: &[&Raise],
    turns: &mut Turns,
) -> Result<(), Status> {
    let outcomes = join_all(raises.iter().map(|raise| raise_one(state.clone(), raise))).await;
    let now = Instant::now();
    let mut done = Vec::new();
    let mut failure = None;
    for (raise, outcome) in raises.iter().zip(outcomes) {
        match outcome {
            Ok(()) => done.push(raise.raise),
            Err(status) => {
                turns.failed(raise.raise, now, |failed| BACKOFF.delay(failed, &mut rand::rng()));
                failure = Some(status);
            }
        }
    }
    if let Some(status) = failure {
        let failed = raises.len() - done.len();
        tracing::warn!(error = status.message(), failed, "fences could not be raised; they will be");
    }
    let count = done.len();
    if count > 0 {
        turns.done(&done);
        queue.forget_raises(done).await?;
        metrics::fences_raised(count);
    }
    Ok(())
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
