use std::{sync::Arc, time::Duration};

use holdfast_sdk::{Context, Failure, Json, Worker};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    standin::{Mesh, Submission, queue::End},
    worker::{Running, echo},
};

#[tokio::test]
async fn running_work_may_end_within_the_drain_period() {
    let mesh = Mesh::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let go = gate.clone();
    let worker = Worker::new(mesh.url()).agent("gated", move |ctx: Context, _: Json| {
        let go = go.clone();
        async move {
            ctx.progress("begun", None).await;
            let _ = go.acquire().await;
            Ok(json!("done"))
        }
    });
    let mut running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "gated", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    running.ask_to_stop();
    gate.add_permits(1);
    running.stopped().await.expect("drained");
    assert!(matches!(mesh.queue.ends(&id)[..], [End::Completed(_)]));
}

#[tokio::test]
async fn what_still_runs_after_the_drain_is_handed_back() {
    let mesh = Mesh::start().await;
    let worker =
        Worker::new(mesh.url()).drain(Duration::from_millis(50)).agent("echo", |ctx: Context, _: Json| async move {
            ctx.progress("begun", None).await;
            std::future::pending::<Result<Json, Failure>>().await
        });
    let running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "echo", input: "1", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    running.shut_down().await.expect("drained");
    assert_eq!(mesh.queue.ends(&id), [End::Released]);

    let _next = Running::start(echo(&mesh));
    mesh.queue.until(|queue| (queue.ends(&id).len() == 2).then_some(())).await;
}

#[tokio::test]
async fn who_follows_a_released_lease_registers_its_fence_though_no_count_tells_of_it() {
    let mesh = Mesh::start().await;
    let worker =
        Worker::new(mesh.url()).drain(Duration::from_millis(50)).agent("count", |ctx: Context, _: Json| async move {
            ctx.progress("begun", None).await;
            std::future::pending::<Result<Json, Failure>>().await
        });
    let running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "count", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    running.shut_down().await.expect("drained");
    assert_eq!(mesh.queue.ends(&id), [End::Released]);

    let next = Worker::new(mesh.url()).agent("count", |ctx: Context, _: Json| async move {
        Ok(json!([ctx.invocation().attempt, ctx.invocation().lost_leases]))
    });
    let _next = Running::start(next);
    mesh.queue.until(|queue| (queue.ends(&id).len() == 2).then_some(())).await;
    let ends = mesh.queue.ends(&id);
    let End::Completed(done) = &ends[1] else { panic!("the next holder completes: {ends:?}") };
    assert_eq!(done.result.as_ref().expect("a result").data, "[1,0]", "as if it were the first");
    assert_eq!(mesh.state.registered().len(), 2, "so every holder registers its fence");
}

#[tokio::test]
async fn a_worker_whose_queue_is_away_can_be_shut_down() {
    let mesh = Mesh::start().await;
    let running = Running::start(echo(&mesh));
    mesh.queue.until(|queue| (!queue.hellos().is_empty()).then_some(())).await;
    mesh.kill().await;
    running.shut_down().await.expect("nothing is owed");
}

#[tokio::test]
async fn a_lease_that_comes_while_the_worker_leaves_is_handed_back() {
    let mesh = Mesh::start().await;
    let mut running = Running::start(echo(&mesh));
    mesh.queue.until(|queue| (!queue.hellos().is_empty()).then_some(())).await;
    // Granted on a credit given before, at the moment of the shutdown.
    running.ask_to_stop();
    let id = mesh.queue.submit(Submission { agent: "echo", input: "1", ..Default::default() });
    running.stopped().await.expect("drained");
    assert!(matches!(mesh.queue.ends(&id)[..], [End::Released] | [End::Completed(_)]), "{:?}", mesh.queue.ends(&id));
}
