//! Three llm-proxies keep one limit, and one is killed: by count. `tests/prove shared_limit` measures what is used of it.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::Redis;
use holdfast_tests::llm::until;
use holdfast_tests::shared_limit::{Callers, mesh};

#[tokio::test]
async fn processes_keep_one_limit_when_one_of_them_is_killed() {
    let redis = Redis::start().await;
    let mut mesh = mesh(&redis, 60, Duration::from_secs(1)).await;
    let callers = Callers::at(&mesh);
    let calling = tokio::spawn({
        let callers = callers.clone();
        async move { callers.call(20).await }
    });
    until(&mesh, |counts| counts.key("shared").answered > 100).await;
    mesh.process_of(Peer::LlmProxy, 1).kill().await;
    until(&mesh, |counts| counts.key("shared").answered > 300).await;
    callers.stop();
    calling.await.expect("nobody panics");
    let counts = until(&mesh, |_| true).await.key("shared");
    assert_eq!(counts.refused, 0, "{counts:?}");
    assert!(counts.most.requests <= 60, "{counts:?}");
    assert!(callers.failed() <= 40, "only those at the killed one: {}", callers.failed());
}
