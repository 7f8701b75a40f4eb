//! What happens to leases when streams, queues and workers come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use holdfast_sdk::{
    Context, Error, Failure, Json, Worker,
    state::{Address, Precondition, Value},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    standin::{Mesh, Submission, queue::End},
    worker::{Running, echo},
};

/// A worker whose handler waits for the gate, and counts how often it began.
fn gated(mesh: &Mesh, gate: &Arc<Semaphore>, begun: &Arc<AtomicU32>) -> Worker {
    gated_at(mesh.url(), gate, begun)
}

fn gated_at(urls: String, gate: &Arc<Semaphore>, begun: &Arc<AtomicU32>) -> Worker {
    let (gate, begun) = (gate.clone(), begun.clone());
    Worker::new(urls).agent("gated", move |_: Context, _: Json| {
        let (gate, begun) = (gate.clone(), begun.clone());
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            let _ = gate.acquire().await;
            Ok(json!("done"))
        }
    })
}

#[tokio::test]
async fn a_stream_that_comes_back_keeps_its_leases() {
    let mesh = Mesh::start().await;
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let _running = Running::start(gated(&mesh, &gate, &begun));
    let id = mesh.queue.submit(Submission { agent: "gated", ..Default::default() });
    mesh.queue.leased(&id).await;

    mesh.queue.forget_streams();

    mesh.queue.until(|queue| (queue.hellos().len() == 2).then_some(())).await;
    assert_eq!(mesh.queue.hellos()[1].held_tokens.len(), 1, "the second hello names what is held");
    gate.add_permits(1);
    assert!(matches!(mesh.queue.end(&id).await, End::Completed(_)));
    assert_eq!(begun.load(Ordering::SeqCst), 1, "running work is not run twice");
}

#[tokio::test]
async fn a_worker_whose_queue_process_dies_goes_on_at_another_with_its_leases() {
    let one = Mesh::start().await;
    let other = one.beside().await;
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let _running = Running::start(gated_at(format!("{},{}", one.url(), other.url()), &gate, &begun));
    let id = one.queue.submit(Submission { agent: "gated", ..Default::default() });
    one.queue.leased(&id).await;

    // Whichever of the two holds the stream: first one goes, and when it is back, the other.
    for (turn, gone) in [&one, &other].into_iter().enumerate() {
        gone.kill().await;
        one.queue.until(|queue| (queue.hellos().len() == turn + 2).then_some(())).await;
        gone.come_back().await;
        assert_eq!(one.queue.hellos().last().expect("one came").held_tokens.len(), 1, "it names what it holds");
    }
    gate.add_permits(1);
    assert!(matches!(one.queue.end(&id).await, End::Completed(_)));
    assert_eq!(begun.load(Ordering::SeqCst), 1, "running work is not run twice");
}

#[tokio::test]
async fn a_completion_is_delivered_after_the_queues_restart() {
    let mesh = Mesh::start().await;
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let _running = Running::start(gated(&mesh, &gate, &begun));
    let id = mesh.queue.submit(Submission { agent: "gated", ..Default::default() });
    mesh.queue.leased(&id).await;

    mesh.kill().await;
    gate.add_permits(1);
    mesh.come_back().await;

    assert!(matches!(mesh.queue.end(&id).await, End::Completed(_)));
    assert_eq!((mesh.queue.ends(&id).len(), begun.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_delivered_again_and_counts_once() {
    let mesh = Mesh::start().await;
    mesh.queue.lose_settled(1);
    let running = Running::start(echo(&mesh));
    let id = mesh.queue.submit(Submission { agent: "echo", input: "1", ..Default::default() });
    mesh.queue.until(|queue| (queue.hellos().len() == 2).then_some(())).await;
    let next = mesh.queue.submit(Submission { agent: "echo", input: "2", ..Default::default() });
    mesh.queue.end(&next).await;
    assert_eq!(mesh.queue.ends(&id).len(), 1);
    running.shut_down().await.expect("nothing is owed any more");
}

#[tokio::test]
async fn leases_are_renewed_in_time() {
    let mesh = Mesh::start().await;
    mesh.queue.lease_ttl(Duration::from_millis(300));
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let _running = Running::start(gated(&mesh, &gate, &begun));
    let id = mesh.queue.submit(Submission { agent: "gated", ..Default::default() });
    mesh.queue.until(|queue| (queue.heartbeats() >= 5).then_some(())).await;
    gate.add_permits(1);
    mesh.queue.end(&id).await;
}

#[tokio::test]
async fn a_queue_that_falls_silent_is_left_for_another_stream() {
    let mesh = Mesh::start().await;
    mesh.queue.lease_ttl(Duration::from_millis(300));
    mesh.queue.mute(true);
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let _running = Running::start(gated(&mesh, &gate, &begun));
    let id = mesh.queue.submit(Submission { agent: "gated", ..Default::default() });
    mesh.queue.until(|queue| (queue.hellos().len() >= 2).then_some(())).await;
    mesh.queue.mute(false);
    gate.add_permits(1);
    assert!(matches!(mesh.queue.end(&id).await, End::Completed(_)));
}

/// Tells whether a handler was dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_revoked_handler_is_stopped_and_reports_nothing() {
    let mesh = Mesh::start().await;
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = stopped.clone();
    let worker = Worker::new(mesh.url()).concurrency(1).agent("slow", move |_: Context, input: Json| {
        let dropped = Dropped(seen.clone());
        async move {
            if input.is_null() {
                std::future::pending::<()>().await;
            }
            drop(dropped);
            Ok(input)
        }
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "slow", ..Default::default() });
    mesh.queue.leased(&id).await;
    mesh.queue.revoke(&id, "CANCELLED");
    let next = mesh.queue.submit(Submission { agent: "slow", input: "1", ..Default::default() });
    mesh.queue.end(&next).await;
    assert!(stopped.load(Ordering::SeqCst), "its place is free, so it was dropped");
    assert!(mesh.queue.ends(&id).is_empty());
}

#[tokio::test]
async fn a_superseded_worker_stops_quietly_and_writes_nothing() {
    let mesh = Mesh::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let (go, results) = (gate.clone(), Arc::new(parking_lot::Mutex::new(Vec::new())));
    let seen = results.clone();
    let worker = Worker::new(mesh.url()).agent("write", move |ctx: Context, _: Json| {
        let (go, seen) = (go.clone(), seen.clone());
        async move {
            if ctx.invocation().lost_leases == 0 {
                let _ = go.acquire().await;
            }
            let address = Address::new("accounts", "A-1", "balance");
            let value = Value::json(&ctx.invocation().lost_leases)?;
            let written = ctx.state().put(&address, value, Precondition::Overwrite).await;
            seen.lock().push(written.as_ref().map(drop).map_err(|error| error.reason().to_owned()));
            written?;
            Ok(json!(ctx.invocation().lost_leases))
        }
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "write", ..Default::default() });
    mesh.queue.leased(&id).await;
    // Its holder hears nothing of it, as one that was paused.
    mesh.queue.take_over(&id);
    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("the successor completes") };
    assert_eq!(done.result.expect("a result").data, "1");
    assert_eq!(mesh.state.registered().len(), 2, "each holder registers its fence before it begins");

    gate.add_permits(1);
    mesh.queue.until(|_| (results.lock().len() == 2).then_some(())).await;
    assert_eq!(*results.lock(), [Ok(()), Err("FENCED".to_owned())]);
    assert_eq!(mesh.queue.ends(&id).len(), 1, "it reports nothing");
}

#[tokio::test]
async fn a_fence_is_registered_before_the_handler_begins() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("see", |ctx: Context, _: Json| async move {
        ctx.progress("begun", None).await;
        Ok(Json::Null)
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "see", session: "s-1", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    assert_eq!(mesh.state.registered().len(), 1);
    mesh.queue.end(&id).await;
}

#[tokio::test]
async fn no_new_work_starts_under_a_lease_that_could_not_be_renewed() {
    let mesh = Mesh::start().await;
    mesh.queue.lease_ttl(Duration::from_millis(200));
    let gate = Arc::new(Semaphore::new(0));
    let go = gate.clone();
    let worker = Worker::new(mesh.url()).agent("late", move |ctx: Context, _: Json| {
        let go = go.clone();
        async move {
            let _ = go.acquire().await;
            let (state, address) = (ctx.state(), Address::new("a", "b", "c"));
            Ok(json!(tokio::time::timeout(Duration::from_millis(100), state.get(&address)).await.is_err()))
        }
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "late", ..Default::default() });
    mesh.queue.leased(&id).await;
    mesh.queue.mute(true);
    // So many heartbeats that go unanswered, over several streams, outlast the lease.
    mesh.queue.until(|queue| (queue.heartbeats() >= 10).then_some(())).await;
    gate.add_permits(1);
    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("it completes") };
    assert_eq!(done.result.expect("a result").data, "true", "the read waits for the lease, and not for state");
}

#[tokio::test]
async fn a_lost_lease_is_an_error_that_a_handler_can_see() {
    let error = Error::LeaseGone { reason: "FENCED".into() };
    let failure: Failure = error.into();
    assert_eq!(failure.reason, "FENCED");
}
