//! Streams that tell of changes of the list, and their end.

use std::time::Duration;

use rmcp::model::{ServerNotification, SubscriptionFilter};
use rmcp::service::SubscriptionEnd;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::{Client, Era, answer, call, connect, http_client, told};
use crate::harness::{Harness, tool};
use crate::upstream_mcp::at;
use crate::upstream_mcp::server::{self, McpServer, plain};

async fn older(mesh: &Harness) -> reqwest::Response {
    let stream = http_client().get(format!("{}/mcp", mesh.url())).header("accept", "text/event-stream");
    stream.send().await.expect("the stream opens")
}

fn tools_changed() -> SubscriptionFilter {
    SubscriptionFilter::builder().tools_list_changed().build()
}

async fn soon<F: Future>(news: F) -> F::Output {
    timeout(Duration::from_secs(15), news).await.expect("there is no news")
}

async fn names(client: &Client) -> Vec<String> {
    let tools = client.peer().list_all_tools().await.expect("it answers");
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test]
async fn clients_of_both_eras_are_told_when_the_list_changes() {
    let far = McpServer::start(server::Era::Stateless, vec![plain("old")]).await;
    let mesh = Harness::start(|_| at("far", &far.url(), "refresh = \"1h\"")).await;
    mesh.call("far_old", json!({})).await.expect("it is known now");
    far.arrived("listening", 1).await;
    let client = connect(&mesh.url(), Era::Current).await;
    let mut current = client.peer().listen(tools_changed()).await.expect("it is taken");
    let mut older = older(&mesh).await;
    assert_eq!(names(&client).await, ["far_old"]);

    far.change(vec![plain("new")]);

    let news = soon(current.next()).await.expect("it goes on").expect("there is news");
    assert!(matches!(news, ServerNotification::ToolListChangedNotification(_)), "{news:?}");
    let news = soon(older.chunk()).await.expect("it goes on").expect("there is news");
    assert!(news.windows(18).any(|part| part == b"tools/list_changed"), "{news:?}");
    assert_eq!(names(&client).await, ["far_new"]);
    let result = answer(&client, call("far_new", json!({}), Value::Null)).await;
    assert_eq!(told(&result, "holdfast/outcome"), "real");
}

#[tokio::test]
async fn a_drain_ends_the_streams_of_both_eras() {
    let mut mesh = Harness::start(|server| tool("look", &server.url("/look"), "")).await;
    let client = connect(&mesh.url(), Era::Current).await;
    let mut current = client.peer().listen(tools_changed()).await.expect("it is taken");
    assert_eq!(current.acknowledged(), &tools_changed());
    let older = older(&mesh).await;
    assert_eq!(older.headers()["content-type"], "text/event-stream");

    mesh.drain().await;

    assert!(current.next().await.is_ok_and(|news| news.is_none()), "it ends well: {:?}", current.end());
    assert!(matches!(current.end(), Some(SubscriptionEnd::Graceful(_))), "{:?}", current.end());
    older.text().await.expect("it ends well");
}
