//! Readers who stand still: what they hold comes back.

use std::time::Duration;

use holdfast_rpc::server::Limits;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::stand_in::{Mesh, Options};

const LIST: &str = "/holdfast.llm.v1.LlmService/ListModels";
const STREAM: &str = "/holdfast.llm.v1.LlmService/StreamGenerate";
const LONG: Duration = Duration::from_secs(3_600);

/// A server with one slot.
async fn mesh(slow_max: Duration) -> Mesh {
    let limits = Limits { in_flight_max: 1, slow_max, ..Limits::default() };
    Mesh::start(Options { limits, ..Options::default() }).await
}

#[tokio::test]
async fn an_answer_that_nobody_takes_gives_its_slot_back() {
    let mesh = mesh(Duration::from_millis(50)).await;
    let answer = mesh.raw_within(0, LIST, &[]).await;
    timeout(Duration::from_secs(10), mesh.until_served()).await.expect("the slot is free again");
    let broken = answer.into_body().collect().await;
    assert!(broken.is_err(), "what was not taken is not passed off as a whole answer");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_by_its_deadline() {
    let mesh = mesh(LONG).await;
    let _answer = mesh.raw_within(0, LIST, &[("grpc-timeout", "100m")]).await;
    timeout(Duration::from_secs(10), mesh.until_served()).await.expect("the slot is free again");
}

#[tokio::test]
async fn an_answer_that_is_long_in_coming_is_no_fault_of_its_reader() {
    let mesh = mesh(Duration::from_millis(10)).await;
    let answer = mesh.raw(STREAM, &[("grpc-timeout", "300m")]).await;
    let ended = timeout(Duration::from_secs(10), answer.into_body().collect()).await.expect("it ends").expect("well");
    assert_eq!(ended.trailers().expect("a status")["grpc-status"], "4", "at its deadline");
}

#[tokio::test]
async fn a_connection_that_was_told_to_go_is_not_kept_for_what_nobody_takes() {
    let ms = Duration::from_millis;
    let limits = Limits { connections_max: 1, connection_age_max: ms(500), slow_max: ms(50), ..Limits::default() };
    let mesh = Mesh::start(Options { limits, ..Options::default() }).await;
    // Its call is over: with room for one byte the connection has taken the whole of so small an answer.
    let _answer = mesh.raw_within(1, LIST, &[]).await;
    timeout(Duration::from_secs(10), mesh.until_served()).await.expect("there is room for another connection");
}

#[tokio::test]
async fn a_stream_outlives_the_age_of_its_connection() {
    let ms = Duration::from_millis;
    let limits = Limits { connection_age_max: ms(500), slow_max: ms(10), ..Limits::default() };
    let mesh = Mesh::start(Options { limits, ..Options::default() }).await;
    let answer = mesh.raw(STREAM, &[("grpc-timeout", "1500m")]).await;
    let ended = timeout(Duration::from_secs(10), answer.into_body().collect()).await.expect("it ends").expect("well");
    assert_eq!(ended.trailers().expect("a status")["grpc-status"], "4", "at its deadline");
}
