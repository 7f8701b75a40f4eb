//! Streams that tell of changes of the list, and their end.

use rmcp::model::SubscriptionFilter;
use rmcp::service::SubscriptionEnd;

use super::client::{Era, connect, http_client};
use crate::harness::{Harness, tool};

#[tokio::test]
async fn a_drain_ends_the_streams_of_both_eras() {
    let mut mesh = Harness::start(|server| tool("look", &server.url("/look"), "")).await;
    let client = connect(&mesh.url(), Era::Current).await;
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let mut current = client.peer().listen(filter.clone()).await.expect("it is taken");
    assert_eq!(current.acknowledged(), &filter);
    let older = http_client().get(format!("{}/mcp", mesh.url())).header("accept", "text/event-stream");
    let older = older.send().await.expect("the stream opens");
    assert_eq!(older.headers()["content-type"], "text/event-stream");

    mesh.drain().await;

    assert!(current.next().await.is_ok_and(|news| news.is_none()), "it ends well: {:?}", current.end());
    assert!(matches!(current.end(), Some(SubscriptionEnd::Graceful(_))), "{:?}", current.end());
    older.text().await.expect("it ends well");
}
