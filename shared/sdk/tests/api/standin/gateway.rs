use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use holdfast_proto::{
    gateway::v1::{self as pb, invocation_service_server::InvocationService},
    queue::v1::{Invocation, InvocationEvent, InvocationState, invocation_event},
};
use holdfast_rpc::Error;
use parking_lot::Mutex;
use tokio_stream::Iter;
use tonic::{Request, Response, Status};

/// Takes submissions, sometimes, and remembers their keys.
#[derive(Default)]
pub struct Gateway {
    /// So many submissions are refused with a retry-after.
    pub refuse: AtomicU32,
    /// Of so many milliseconds.
    pub retry_after_ms: AtomicU64,
    /// Refusals say that something is gone, instead of full.
    pub away: AtomicBool,
    /// Refusals say that it is the answer for which there is no room.
    pub refuse_answers: AtomicBool,
    /// So many submissions are taken first, and their answers lost without a word.
    pub lose_answers: AtomicU32,
    /// So many waits are ended first, with a word on what goes on.
    pub drains: AtomicU32,
    pub keys: Mutex<Vec<String>>,
    /// What callers showed.
    pub shown: Mutex<Vec<Option<String>>>,
    /// So many watchers that come back are refused first: what is behind is away.
    pub refuse_watchers: AtomicU32,
    /// Where watchers began.
    pub watched_from: Mutex<Vec<u64>>,
}

/// Watching from here, a redriven invocation shows two ends.
pub const REDRIVEN: u64 = 100;
/// After the last event.
pub const PAST_THE_END: u64 = 1_000;

/// The invocation whose wait a gateway that drains ends.
pub const GOES_ON: &str = "goes-on";

/// Whether there was one left of so many.
fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

type Watched = Result<pb::WatchInvocationResponse, Status>;

fn event(offset: u64, state: InvocationState) -> Watched {
    let changed = invocation_event::StateChanged { state: state.into(), attempt: 1, failure: None };
    let event = InvocationEvent { offset, time: None, event: Some(invocation_event::Event::StateChanged(changed)) };
    Ok(pb::WatchInvocationResponse { event: Some(event) })
}

#[tonic::async_trait]
impl InvocationService for Gateway {
    type WatchInvocationStream = Iter<std::vec::IntoIter<Watched>>;

    async fn submit_invocation(
        &self,
        request: Request<pb::SubmitInvocationRequest>,
    ) -> Result<Response<pb::SubmitInvocationResponse>, Status> {
        let shown = request.metadata().get("authorization").map(|value| value.to_str().expect("ASCII").to_owned());
        self.shown.lock().push(shown);
        let key = request.into_inner().spec.unwrap_or_default().idempotency_key;
        self.keys.lock().push(key.clone());
        if take(&self.lose_answers) {
            return Err(Status::unavailable("broken"));
        }
        if take(&self.refuse) {
            let retry_after = Duration::from_millis(self.retry_after_ms.load(Ordering::SeqCst));
            return Err(match self.away.load(Ordering::SeqCst) {
                true => Error::unavailable("away", retry_after).into(),
                false if self.refuse_answers.load(Ordering::SeqCst) => {
                    Error::exhausted("the answer is too large", retry_after).maybe_happened().into()
                }
                false => Error::exhausted("full", retry_after).into(),
            });
        }
        Ok(Response::new(pb::SubmitInvocationResponse { invocation_id: key, created: true }))
    }

    /// Two events, then a break; from there on, the end.
    async fn watch_invocation(
        &self,
        request: Request<pb::WatchInvocationRequest>,
    ) -> Result<Response<Self::WatchInvocationStream>, Status> {
        let from = request.into_inner().from_offset;
        if from == 3 && take(&self.refuse_watchers) {
            return Err(Error::unavailable("away", Duration::from_millis(1)).into());
        }
        self.watched_from.lock().push(from);
        let events = match from {
            0..=2 => vec![
                event(1, InvocationState::Queued),
                event(2, InvocationState::Leased),
                Err(Status::unavailable("the gateway drains")),
            ],
            PAST_THE_END => vec![],
            // It was cancelled and redriven.
            REDRIVEN => vec![
                event(REDRIVEN, InvocationState::Cancelled),
                event(REDRIVEN + 1, InvocationState::Queued),
                event(REDRIVEN + 2, InvocationState::Succeeded),
            ],
            // A server may begin earlier than asked.
            _ => vec![event(2, InvocationState::Leased), event(3, InvocationState::Succeeded)],
        };
        Ok(Response::new(tokio_stream::iter(events)))
    }

    async fn run_invocation(
        &self,
        _: Request<pb::RunInvocationRequest>,
    ) -> Result<Response<pb::RunInvocationResponse>, Status> {
        if take(&self.drains) {
            return Err(Error::unavailable("the gateway drains", Duration::from_millis(1)).about(GOES_ON).into());
        }
        if take(&self.refuse) {
            let retry_after = Duration::from_millis(self.retry_after_ms.load(Ordering::SeqCst));
            return Err(Error::unavailable("away", retry_after).into());
        }
        Ok(Response::new(pb::RunInvocationResponse { invocation: Some(Invocation::default()) }))
    }

    async fn get_invocation(
        &self,
        request: Request<pb::GetInvocationRequest>,
    ) -> Result<Response<pb::GetInvocationResponse>, Status> {
        if request.into_inner().invocation_id == "ended" {
            let invocation = Invocation { state: InvocationState::Succeeded.into(), ..Default::default() };
            return Ok(Response::new(pb::GetInvocationResponse { invocation: Some(invocation) }));
        }
        Err(Error::not_found("such invocation").into())
    }

    async fn list_invocations(
        &self,
        _: Request<pb::ListInvocationsRequest>,
    ) -> Result<Response<pb::ListInvocationsResponse>, Status> {
        Ok(Response::new(pb::ListInvocationsResponse::default()))
    }

    async fn cancel_invocation(
        &self,
        _: Request<pb::CancelInvocationRequest>,
    ) -> Result<Response<pb::CancelInvocationResponse>, Status> {
        Err(Error::precondition("ALREADY_ENDED", "it has ended").into())
    }

    /// Redrives what is named; the first so many answers are lost.
    async fn redrive_invocations(
        &self,
        request: Request<pb::RedriveInvocationsRequest>,
    ) -> Result<Response<pb::RedriveInvocationsResponse>, Status> {
        let pb::RedriveInvocationsRequest { redrive_id, invocation_ids, .. } = request.into_inner();
        self.keys.lock().push(redrive_id);
        if take(&self.lose_answers) {
            return Err(Status::unavailable("broken"));
        }
        Ok(Response::new(pb::RedriveInvocationsResponse { invocation_ids, ..Default::default() }))
    }
}
