//! A queue that fails, and the requests that it gets: from the SDK through the gateway, one layer retries, on a budget.

use std::time::Duration;

use futures::future::join_all;
use holdfast_rpc::id;
use holdfast_sdk::{Client, Error, invocation};

use crate::harness::Harness;
use crate::stand_in::Mode;

const CALLS: usize = 200;

/// A tenth of the calls, and the ten retries that a client has before it has earned any.
const REQUESTS_MAX: usize = CALLS + CALLS / 10 + 10;

fn client(harness: &Harness) -> Client {
    Client::connect(&harness.url, "").expect("our own URL").timeout(Duration::from_secs(5))
}

/// Submissions by keys, some at a time, none of which succeeds.
async fn submissions(harness: &Harness) {
    let client = client(harness);
    for _ in 0..CALLS / 20 {
        let call = || async { client.submit(invocation("mail", &1).expect("plain JSON")).await };
        for failed in join_all((0..20).map(|_| call())).await {
            let error = failed.expect_err("the queue fails");
            assert!(matches!(error, Error::Unavailable { retry_after: Some(_), .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_queue_whose_store_is_gone_gets_hardly_more_requests_than_there_are_calls() {
    let harness = Harness::start(Mode::Away).await;
    submissions(&harness).await;
    let requests = harness.queue.submissions().len();
    assert!((CALLS..=REQUESTS_MAX).contains(&requests), "{requests} requests for {CALLS} calls");
}

#[tokio::test]
async fn a_queue_that_breaks_at_each_call_gets_none_of_them_twice_from_the_gateway() {
    let harness = Harness::start(Mode::Break).await;
    submissions(&harness).await;
    let requests = harness.queue.submissions().len();
    assert!(requests <= REQUESTS_MAX, "{requests} requests for {CALLS} calls");
}

#[tokio::test]
async fn reads_of_a_failing_queue_are_on_the_same_budget() {
    let harness = Harness::start(Mode::Away).await;
    let client = client(&harness);
    let calls = (0..CALLS).map(|_| {
        let client = client.clone();
        async move { client.get(&id::new()).await }
    });
    assert!(join_all(calls).await.iter().all(Result::is_err));
    let requests = harness.queue.reads();
    assert!((CALLS..=REQUESTS_MAX).contains(&requests), "{requests} requests for {CALLS} calls");
}
