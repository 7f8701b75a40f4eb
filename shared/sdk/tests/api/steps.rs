use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use holdfast_sdk::{Context, Failure, Json, Worker};
use serde_json::json;

use crate::{
    standin::{Mesh, Submission, queue::End},
    worker::Running,
};

/// Counts how often each of three steps runs; stops between the second and the third until told to go on.
fn three_steps(mesh: &Mesh, ran: &Arc<[AtomicU32; 3]>, pause: Option<Arc<tokio::sync::Semaphore>>) -> Worker {
    let ran = ran.clone();
    Worker::new(mesh.url()).agent("steps", move |ctx: Context, _: Json| {
        let (ran, pause) = (ran.clone(), pause.clone());
        async move {
            let mut sum = 0;
            for number in 1..=3_u32 {
                if number == 3
                    && let Some(pause) = &pause
                {
                    ctx.progress("before the third", None).await;
                    let _ = pause.acquire().await;
                }
                let step = || async {
                    ran[number as usize - 1].fetch_add(1, Ordering::SeqCst);
                    Ok(u64::from(number) * 10)
                };
                sum += ctx.step::<u64, _, _>(number, step).await?;
            }
            Ok(json!(sum))
        }
    })
}

#[tokio::test]
async fn after_a_crash_no_recorded_step_runs_again() {
    let mesh = Mesh::start().await;
    let ran = Arc::new([const { AtomicU32::new(0) }; 3]);
    let pause = Arc::new(tokio::sync::Semaphore::new(0));
    let first = Running::start(three_steps(&mesh, &ran, Some(pause)));
    let id = mesh.queue.submit(Submission { agent: "steps", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    first.crash().await;
    mesh.queue.until(|queue| (queue.workers() == 0).then_some(())).await;
    mesh.queue.take_over(&id);

    let _second = Running::start(three_steps(&mesh, &ran, None));

    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("the second worker goes on") };
    assert_eq!(done.result.expect("a result").data, "60");
    assert_eq!(ran.each_ref().map(|count| count.load(Ordering::SeqCst)), [1, 1, 1]);
    let key = mesh.state.record("holdfast.steps", &id, "000002").expect("six digits");
    assert_eq!(key.writer.expect("written").invocation_id, id);
}

#[tokio::test]
async fn a_step_that_fails_is_not_recorded() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("steps", |ctx: Context, _: Json| async move {
        let failed = ctx.step::<Json, _, _>("try", || async { Err(Failure::fatal("NO", "not now")) }).await;
        assert!(failed.is_err());
        ctx.step("try", || async { Ok(json!("yes")) }).await
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "steps", ..Default::default() });
    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("the second try succeeds") };
    assert_eq!(done.result.expect("a result").data, "\"yes\"");
}

#[tokio::test]
async fn a_state_service_that_is_away_is_waited_for() {
    let mesh = Mesh::start().await;
    mesh.state.absent.store(20, Ordering::SeqCst);
    let ran = Arc::new([const { AtomicU32::new(0) }; 3]);
    let _running = Running::start(three_steps(&mesh, &ran, None));
    let id = mesh.queue.submit(Submission { agent: "steps", ..Default::default() });
    assert!(matches!(mesh.queue.end(&id).await, End::Completed(_)));
    assert_eq!(ran.each_ref().map(|count| count.load(Ordering::SeqCst)), [1, 1, 1], "no step is lost");
}

#[tokio::test]
async fn a_step_whose_recording_is_not_answered_is_recorded_once() {
    let mesh = Mesh::start().await;
    mesh.state.lose_answers.store(2, Ordering::SeqCst);
    let ran = Arc::new([const { AtomicU32::new(0) }; 3]);
    let _running = Running::start(three_steps(&mesh, &ran, None));
    let id = mesh.queue.submit(Submission { agent: "steps", ..Default::default() });
    assert!(matches!(mesh.queue.end(&id).await, End::Completed(_)));
    assert_eq!(mesh.state.record("holdfast.steps", &id, "000001").expect("recorded").revision, 1);
}

#[tokio::test]
async fn a_write_with_an_id_of_the_invocation_happens_once_over_all_attempts() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("count", |ctx: Context, _: Json| async move {
        let address = holdfast_sdk::state::Address::new("accounts", "A-1", "visits");
        let add = |current: Option<Json>| {
            Ok::<_, holdfast_sdk::Error>(json!(current.and_then(|count| count.as_u64()).unwrap_or(0) + 1))
        };
        ctx.state().update_as(&address, ctx.write_id("visit"), add).await?;
        if ctx.attempt() == 1 && ctx.invocation().lost_leases == 0 {
            ctx.progress("counted", None).await;
            std::future::pending::<()>().await;
        }
        Ok(Json::Null)
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "count", ..Default::default() });
    mesh.queue.until(|queue| (!queue.events().is_empty()).then_some(())).await;
    mesh.queue.lease_ttl(Duration::from_secs(1));
    mesh.queue.take_over(&id);
    mesh.queue.end(&id).await;
    assert_eq!(mesh.state.record("accounts", "A-1", "visits").expect("counted").revision, 1);
}
