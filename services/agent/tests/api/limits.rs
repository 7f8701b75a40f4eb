use holdfast_proto::queue::v1::InvocationState;
use serde_json::json;

use crate::{
    mesh::{Mesh, reason},
    models::{calls, says},
};

async fn fails_at(limit: &str, wanted: &str) -> Mesh {
    let mesh =
        Mesh::start(&format!("[agents.clerk]\nmodel = \"scripted\"\ntools = [\"echo\", \"gate\"]\n{limit}\n")).await;
    mesh.models.script([calls(&[("echo", "{}")]), calls(&[("gate", "{}")])]);
    let _pool = mesh.pool().await;
    let ended = mesh.run("clerk", json!("go")).await;
    assert_eq!((ended.state(), reason(&ended)), (InvocationState::Failed, wanted), "{:?}", ended.failure);
    assert_eq!(ended.attempt, 1, "another attempt would fail alike");
    mesh
}

#[tokio::test]
async fn a_loop_ends_at_its_limit_of_steps() {
    let mesh = fails_at("steps_max = 1", "STEP_LIMIT").await;
    assert_eq!(mesh.models.asked().len(), 1);
}

#[tokio::test]
async fn a_loop_ends_at_its_limit_of_tokens() {
    let mesh = fails_at("tokens_max = 15", "TOKEN_LIMIT").await;
    assert_eq!(mesh.models.asked().len(), 1, "fifteen tokens are one answer");
}

#[tokio::test]
async fn a_loop_ends_at_its_limit_of_time() {
    let mesh = fails_at("time_max = \"300ms\"", "TIME_LIMIT").await;
    assert_eq!(mesh.models.asked().len(), 2, "the second step's tool never answers");
}

#[tokio::test]
async fn an_answer_held_back_by_the_provider_is_a_failure() {
    let mesh = Mesh::start("[agents.clerk]\nmodel = \"scripted\"\ntools = [\"echo\"]\n").await;
    let mut held_back = says("");
    held_back.finish_reason = holdfast_proto::llm::v1::FinishReason::ContentFilter.into();
    mesh.models.script([held_back]);
    let _pool = mesh.pool().await;
    assert_eq!(reason(&mesh.run("clerk", json!("go")).await), "CONTENT_FILTER");
}
