//! A tool that hangs, and a pool of ten agents: `tests/prove cascade` plays the day and judges the times.

use std::time::Duration;

use holdfast_proto::gateway::v1::ListInvocationsRequest;
use holdfast_proto::queue::v1::InvocationState;
use holdfast_tests::cascade::desk::{HANGING, POOL};
use holdfast_tests::cascade::{End, Hang, Settings, Stage, Stretch};
use holdfast_tests::simulated::{counts, set_faults, until};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_only_hangs_costs_a_guarded_pool_substitutes_and_no_case() {
    let stage = Stage::start(Settings::Protected).await.deadline(LONG);
    let phase = stage.play(Hang::Always, &Stretch::even(60, 10)).await;
    for case in &phase.cases {
        assert_eq!(case.end, End::Degraded, "{case:?}");
        assert_ne!(case.risk, "REAL", "{case:?}");
    }
    assert_eq!(phase.cases.len(), 60);
    assert!((1..=30).contains(&phase.calls), "most cases do not get as far as the tool: {} do", phase.calls);
    let notes = stage.notes().await;
    for case in phase.cases.iter().filter(|case| case.noted) {
        assert_eq!(notes.get(&case.number), Some(&1), "{case:?}");
    }
}

/// Shows that the test above sees a starved pool when there is one.
#[tokio::test(flavor = "multi_thread")]
async fn without_guards_ten_hanging_calls_hold_the_whole_pool() {
    let stage = Stage::start(Settings::Plain).await.deadline(LONG);
    set_faults(stage.mesh(), HANGING, &json!({"hang_rate": 1.0})).await;
    let mut cases = JoinSet::new();
    for _ in 0..POOL + 4 {
        cases.spawn(stage.case());
    }
    until(stage.mesh(), HANGING, |counts| counts.open == u64::from(POOL)).await;
    let (end, mut looks) = (Instant::now() + LONG, interval(Duration::from_millis(20)));
    loop {
        looks.tick().await;
        let all = stage.mesh().invocations().list_invocations(ListInvocationsRequest::default()).await;
        let all = all.expect("the gateway answers").into_inner().invocations;
        let count = |state| all.iter().filter(|invocation| invocation.state() == state).count();
        if count(InvocationState::Queued) == 4 && count(InvocationState::Leased) == POOL as usize {
            break;
        }
        assert!(Instant::now() < end, "four cases wait for ever behind ten: {all:?}");
    }
    // A tool that is well does not help them: nobody is free to call it.
    assert_eq!(counts(stage.mesh(), "crm_lookup").await.calls, u64::from(POOL));
}
