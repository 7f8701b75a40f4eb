//! What the real queue does not take of a handler's answer.

use holdfast_proto::queue::v1::InvocationState;
use holdfast_sdk::{Context, Failure, Json, Worker};

use serde_json::json;

use crate::{real::Mesh, worker::Running};

#[tokio::test]
async fn a_failure_of_too_many_words_ends_the_invocation_all_the_same() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.endpoints()).agent("wordy", |_: Context, _: Json| async {
        Err::<Json, _>(Failure::fatal("TOO_MUCH", "no! ".repeat(5 << 10)))
    });
    let _running = Running::start(worker);
    let ended = mesh.ended(&mesh.submit("wordy").await).await;
    assert_eq!((ended.state(), ended.attempt, ended.lost_leases), (InvocationState::Failed, 1, 0));
    let failure = ended.failure.expect("why");
    assert_eq!(failure.reason, "TOO_MUCH");
    assert!(failure.message.starts_with("no! ") && failure.message.ends_with("(cut)"));
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_alone() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.endpoints())
        .agent("large", |_: Context, _: Json| async { Ok(json!("x".repeat(6 << 20))) })
        .agent("small", |_: Context, _: Json| async { Ok(json!("x")) });
    let _running = Running::start(worker);
    let large = mesh.submit("large").await;
    let ended = mesh.ended(&large).await;
    assert_eq!((ended.state(), ended.attempt, ended.lost_leases), (InvocationState::Failed, 1, 0));
    assert_eq!(ended.failure.expect("why").reason, "RESULT_REFUSED");

    let (small, beside) = (mesh.submit("small").await, mesh.submit("large").await);
    assert_eq!(mesh.ended(&small).await.state(), InvocationState::Succeeded);
    assert_eq!(mesh.ended(&beside).await.state(), InvocationState::Failed);
}
