//! Model tokens in an invocation's record, against the real queue and state. Each question costs 10 to read and 5 to write.

use std::sync::Arc;

use futures::future::join_all;
use holdfast_proto::{
    llm::v1::GenerateRequest,
    queue::v1::{CancelInvocationRequest, Invocation, InvocationState, Usage},
};
use holdfast_sdk::{Context, Error, Failure, Json, Worker};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    real::{Mesh, tenant},
    standin::models::Models,
    worker::Running,
};

async fn mesh() -> Mesh {
    let mut mesh = Mesh::start().await;
    mesh.common.mesh.llm_proxy = format!("http://{}", Models::start().await);
    mesh
}

async fn ask(ctx: &Context) -> Result<Json, Failure> {
    ctx.generate(GenerateRequest::default()).await?;
    Ok(Json::Null)
}

/// What so many questions come to.
fn questions(count: u64) -> Option<Usage> {
    Some(Usage { input_tokens: 10 * count, output_tokens: 5 * count })
}

fn is_first(invocation: &Invocation) -> bool {
    invocation.lost_leases == 0 && invocation.failed_attempts.is_empty()
}

#[tokio::test]
async fn what_failed_attempts_used_is_in_the_record() {
    let mesh = mesh().await;
    let worker = Worker::new(mesh.endpoints()).agent("asks", |ctx: Context, _: Json| async move {
        ctx.step("a", || ask(&ctx)).await?;
        // Within a step that is not recorded, and outside of all.
        let failed = ctx.step("b", || async { ask(&ctx).await.and(Err::<Json, _>(Failure::retryable("NO", ""))) });
        if ctx.attempt() == 1 {
            let _ = failed.await;
        }
        ask(&ctx).await?;
        if ctx.attempt() < 3 { Err(Failure::retryable("NOT_YET", "")) } else { Ok(json!(ctx.usage().total())) }
    });
    let _running = Running::start(worker);
    let id = mesh.submit("asks").await;
    let ended = mesh.ended(&id).await;
    assert_eq!(ended.usage, questions(1 + 1 + 3));
    assert_eq!(ended.result.expect("a result").data, "75", "the handler knows it too");
}

#[tokio::test]
async fn a_step_that_is_asked_for_twice_counts_once() {
    let mesh = mesh().await;
    let worker = Worker::new(mesh.endpoints()).agent("asks", |ctx: Context, _: Json| async move {
        for _ in 0..3 {
            ctx.step("a", || ask(&ctx)).await?;
        }
        // One of two at once under the same name is in vain, and was asked all the same.
        join_all((0..2).map(|_| ctx.step("b", || ask(&ctx)))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        if ctx.attempt() == 1 { Err(Failure::retryable("NOT_YET", "")) } else { Ok(Json::Null) }
    });
    let _running = Running::start(worker);
    let id = mesh.submit("asks").await;
    assert_eq!(mesh.ended(&id).await.usage, questions(3));
}

#[tokio::test]
async fn after_a_crash_recorded_steps_count_though_nobody_asks_for_them_again() {
    let mesh = mesh().await;
    let begun = Arc::new(Semaphore::new(0));
    let worker = |begun: Arc<Semaphore>| {
        Worker::new(mesh.endpoints()).agent("asks", move |ctx: Context, _: Json| {
            let begun = begun.clone();
            async move {
                if !is_first(ctx.invocation()) {
                    return Err::<Json, _>(Failure::fatal("NO_MORE", "it goes another way, and fails"));
                }
                // Parallel, and from tasks of their own.
                let steps = (0..4_u32).map(|number| {
                    let ctx = ctx.clone();
                    tokio::spawn(async move { ctx.step(number, || ask(&ctx)).await })
                });
                join_all(steps).await;
                begun.add_permits(1);
                std::future::pending().await
            }
        })
    };
    let first = Running::start(worker(begun.clone()));
    let id = mesh.submit("asks").await;
    begun.acquire().await.expect("open").forget();
    first.crash().await;
    let _second = Running::start(worker(begun.clone()));
    let ended = mesh.ended(&id).await;
    assert_eq!((ended.state(), ended.lost_leases), (InvocationState::Failed, 1));
    assert_eq!(ended.usage, questions(4));
}

#[tokio::test]
async fn what_was_used_before_a_shutdown_is_in_the_record() {
    let mesh = mesh().await;
    let (begun, rest) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let worker = || {
        let (begun, rest) = (begun.clone(), rest.clone());
        let worker = Worker::new(mesh.endpoints()).drain(std::time::Duration::from_millis(10));
        worker.agent("asks", move |ctx: Context, _: Json| {
            let (begun, rest) = (begun.clone(), rest.clone());
            async move {
                ask(&ctx).await?;
                begun.add_permits(1);
                let _ = rest.acquire().await;
                Ok::<_, Failure>(Json::Null)
            }
        })
    };
    let first = Running::start(worker());
    let id = mesh.submit("asks").await;
    begun.acquire().await.expect("open").forget();
    first.shut_down().await.expect("it drains");
    rest.add_permits(1);
    let _second = Running::start(worker());
    let ended = mesh.ended(&id).await;
    assert_eq!((ended.usage, ended.lost_leases, ended.attempt), (questions(2), 0, 1));
}

#[tokio::test]
async fn what_was_used_before_it_was_cancelled_is_in_the_record() -> Result<(), Error> {
    let mesh = mesh().await;
    let begun = Arc::new(Semaphore::new(0));
    let begins = begun.clone();
    let worker = Worker::new(mesh.endpoints()).agent("asks", move |ctx: Context, _: Json| {
        let begins = begins.clone();
        async move {
            ctx.step("a", || ask(&ctx)).await?;
            ask(&ctx).await?;
            begins.add_permits(1);
            std::future::pending::<Result<Json, Failure>>().await
        }
    });
    let running = Running::start(worker);
    let id = mesh.submit("asks").await;
    begun.acquire().await.expect("open").forget();
    let cancel = CancelInvocationRequest { invocation_id: id.clone(), reason: String::new() };
    mesh.client().cancel_invocation(tenant(cancel)).await?;
    // It ends once its handlers have, and they once they have told.
    running.shut_down().await?;
    let ended = mesh.ended(&id).await;
    assert_eq!((ended.state(), ended.usage), (InvocationState::Cancelled, questions(2)));
    Ok(())
}
