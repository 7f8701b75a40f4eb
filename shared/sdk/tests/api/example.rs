//! The example worker, as a user runs it.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

use crate::standin::{Mesh, Submission, queue::End};

/// Cargo builds examples beside the tests, one folder up from `deps`.
fn example() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("examples/echo_worker")
}

#[tokio::test]
async fn the_example_is_a_worker_in_under_30_lines() {
    let source = include_str!("../../examples/echo_worker.rs");
    assert!(source.lines().count() < 30, "{} lines", source.lines().count());

    let mesh = Mesh::start().await;
    let mut worker = Command::new(example())
        .env("HOLDFAST_ADDRESS", mesh.url())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("cargo built the example");
    let id = mesh.queue.submit(Submission { agent: "echo", input: r#""hello""#, ..Default::default() });
    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("it answers") };
    assert_eq!(done.result.expect("a result").data, r#"{"echo":"hello"}"#);
    worker.kill().await.expect("it was running");
}
