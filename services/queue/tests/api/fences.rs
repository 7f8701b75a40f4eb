use holdfast_proto::queue::v1::{CancelInvocationRequest, CompleteRequest};

use crate::harness::{Harness, as_tenant, id_of, in_session, spec};
use crate::state::FakeState;

async fn start(state: &FakeState, keys: &str) -> Harness {
    Harness::with(&format!("{keys}\n[mesh]\nstate = \"http://{}\"", state.address)).await
}

fn cancel(id: &str) -> CancelInvocationRequest {
    CancelInvocationRequest { invocation_id: id.into(), reason: String::new() }
}

#[tokio::test]
async fn cancelling_running_work_raises_its_fence_in_state() {
    let mut state = FakeState::start().await;
    let queue = start(&state, "").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    queue.client().cancel_invocation(cancel(&id)).await.unwrap();
    let raised = state.next().await;
    assert_eq!((raised.tenant.as_str(), raised.fence), ("default", lease.fence));
    assert_eq!((raised.session.as_str(), raised.invocation_id), ("", id));
}

#[tokio::test]
async fn a_session_is_fenced_by_its_name() {
    let mut state = FakeState::start().await;
    let queue = start(&state, "").await;
    let id = queue.enqueue(in_session("s-1")).await;
    let lease = queue.lease_one().await;
    queue.client().cancel_invocation(cancel(&id)).await.unwrap();
    let raised = state.next().await;
    assert_eq!((raised.session.as_str(), raised.invocation_id.as_str(), raised.fence), ("s-1", "", lease.fence));
}

#[tokio::test]
async fn cancelling_does_not_wait_for_state_and_no_crash_forgets_the_fence() {
    let mut state = FakeState::start().await;
    state.set_away(true);
    let mut queue = start(&state, "").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    queue.client().cancel_invocation(cancel(&id)).await.expect("state is away, and it does not matter");
    // Refused once, it is not forgotten.
    state.refused().await;
    queue.kill().await;
    state.set_away(false);
    queue.start_again().await;
    assert_eq!(state.next().await.fence, lease.fence);
}

#[tokio::test]
async fn a_fence_that_state_refused_is_raised_once_state_is_back() {
    let mut state = FakeState::start().await;
    state.set_away(true);
    let queue = start(&state, "").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    queue.client().cancel_invocation(cancel(&id)).await.unwrap();
    state.refused().await;
    state.refused().await;
    state.set_away(false);
    assert_eq!(state.next().await.fence, lease.fence);
}

#[tokio::test]
async fn a_lost_holder_is_fenced_though_a_later_one_completes() {
    let mut state = FakeState::start().await;
    let queue = start(&state, "lease_ttl = \"200ms\"\nstream_grace = \"100ms\"").await;
    queue.enqueue(spec()).await;
    let lost = queue.lease_one().await;
    let second = queue.lease_one().await;
    assert_eq!(id_of(&lost), id_of(&second));
    queue.client().complete(CompleteRequest { token: second.token, ..Default::default() }).await.unwrap();
    assert_eq!(state.next().await.fence, lost.fence);
}

#[tokio::test]
async fn work_that_was_given_up_raises_nothing() {
    let mut state = FakeState::start().await;
    let queue = start(&state, "").await;
    queue.enqueue(spec()).await;
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    let waiting = queue.enqueue(spec()).await;
    queue.client().cancel_invocation(cancel(&waiting)).await.unwrap();
    // Only this one has a holder.
    let running = queue.enqueue(spec()).await;
    queue.lease_one().await;
    queue.client().cancel_invocation(cancel(&running)).await.unwrap();
    assert_eq!(state.next().await.invocation_id, running);
    assert!(state.raised.try_recv().is_err());
}

#[tokio::test]
async fn one_tenants_fences_that_state_refuses_hold_up_nobody_elses() {
    let mut state = FakeState::start().await;
    state.refuse_tenant("broken");
    let queue = start(&state, "").await;
    // More than are raised at once.
    for _ in 0..120 {
        queue.enqueue_as("broken", spec()).await.unwrap();
    }
    for lease in queue.lease_now(120).await {
        queue.client().cancel_invocation(as_tenant(cancel(id_of(&lease)), "broken")).await.unwrap();
    }
    for _ in 0..120 {
        state.refused().await;
    }
    let id = queue.enqueue_as("well", spec()).await.unwrap();
    let lease = queue.lease_one().await;
    queue.client().cancel_invocation(as_tenant(cancel(&id), "well")).await.unwrap();
    let raised = state.next().await;
    assert_eq!((raised.tenant.as_str(), raised.fence), ("well", lease.fence));
}
