//! The mission's case: 40 callers at once where an endpoint allows 20, and a burst of calls beyond what it allows a minute.
//! `tests/prove pacing` measures how well that uses the limits.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use holdfast_tests::llm::{Account, Answered, Ask, Caller};

const CONFIG: &str = r#"
[providers.limited]
kind = "openai"
base_url = "simulator:/v1"
window = "500ms"
keys = [{ name = "forty", concurrency = 20 }]

[providers.bursts]
kind = "openai"
base_url = "simulator:/v1"
window = "500ms"
keys = [{ name = "burst", concurrency = 20, requests_per_minute = 100 }]

[models.forty]
deployments = [{ provider = "limited", model = "simulated-model" }]

[models.burst]
deployments = [{ provider = "bursts", model = "simulated-model" }]

[simulator]
keys.forty = { concurrency = 20 }
keys.burst = { concurrency = 20, requests_per_minute = 100, window = "500ms" }
faults = { latency = "20ms" }
"#;

async fn mesh() -> Mesh {
    Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]).config(CONFIG).start().await
}

fn hello(model: &str) -> Ask {
    let deadline = Duration::from_secs(120);
    Ask { model: model.into(), prompt: "hello".into(), output_tokens: 10, deadline, ..Ask::default() }
}

fn all_answered(answers: &[Answered]) {
    for answer in answers {
        assert!(answer.is_real(), "a call waits its turn: {:?}", answer.outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_callers_at_a_limit_of_twenty_are_never_told_429() {
    let mesh = mesh().await;
    let caller = Caller::at(&mesh, Peer::Gateway);
    let one_by_one = async || {
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(caller.call(&hello("forty")).await);
        }
        answers
    };
    let answers: Vec<_> = join_all((0..40).map(|_| one_by_one())).await.into_iter().flatten().collect();
    all_answered(&answers);
    let counts = Account::of(&mesh, "forty").await.counts;
    assert_eq!((counts.refused, counts.answered), (0, 400), "{counts:?}");
    assert_eq!(counts.in_flight_max, 20, "the whole limit is used: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_limit_of_a_minute_is_answered_whole_and_nobody_is_told_429() {
    let mesh = mesh().await;
    let caller = Caller::at(&mesh, Peer::Gateway);
    let answers = join_all((0..350).map(|_| caller.call(&hello("burst")))).await;
    all_answered(&answers);
    let counts = Account::of(&mesh, "burst").await.counts;
    assert_eq!((counts.refused, counts.answered), (0, 350), "{counts:?}");
    assert_eq!(counts.most.requests, 100, "the whole limit is used, and in no window more: {counts:?}");
    assert!(counts.in_flight_max <= 20, "{counts:?}");
}
