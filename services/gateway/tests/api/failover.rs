//! Several queue processes: when one goes, the gateway is at another.

use holdfast_proto::gateway::v1 as gw;
use holdfast_rpc::id;
use holdfast_testkit::Fault;

use crate::harness::{Harness, run, spec, submit};
use crate::stand_in::Mode;

async fn get(harness: &Harness) -> Result<(), tonic::Status> {
    let ask = gw::GetInvocationRequest { invocation_id: id::new() };
    harness.invocations(None).get_invocation(ask).await.map(|_| ())
}

#[tokio::test]
async fn the_death_of_either_queue_process_refuses_no_submission() {
    for first_dies in [true, false] {
        let (harness, other) = Harness::before_two(Mode::Accept).await;
        let client = harness.invocations(None);
        let mut ways = [harness.way, other].map(Some);
        // Nobody listens at its port any more.
        drop(ways[usize::from(!first_dies)].take());
        for number in 0..20 {
            let key = number.to_string();
            client.clone().submit_invocation(submit(spec("mail", &key))).await.expect("the other takes it");
        }
    }
}

#[tokio::test]
async fn reads_go_to_the_process_that_is_there() {
    let (harness, other) = Harness::before_two(Mode::Accept).await;
    get(&harness).await.expect("one of them answers");
    drop(other);
    for _ in 0..20 {
        // A call that was under way when its connection broke is the SDK's to repeat; of these, none is.
        if get(&harness).await.is_err() {
            get(&harness).await.expect("the next goes to the first");
        }
    }
}

#[tokio::test]
async fn a_wait_moves_along_over_both_processes() {
    let (harness, other) = Harness::before_two(Mode::AcceptOnly).await;
    let mut caller = harness.invocations(None);
    let waiting = tokio::spawn(async move { caller.run_invocation(run(spec("mail", "run"))).await });
    harness.queue.came(2).await;
    for (gone, there) in [(&harness.way, &other), (&other, &harness.way)] {
        there.set(Fault::None);
        gone.set(Fault::Refuse);
        // Answers keep their order: once this one is here, the run is waited for at the process that answered.
        harness.linked().await;
    }
    harness.queue.set(Mode::Accept);
    harness.way.cut();
    other.set(Fault::None);
    let ended = waiting.await.expect("no panic").expect("the end").into_inner().invocation.expect("it is there");
    assert!(!ended.id.is_empty());
    let runs = harness
        .queue
        .submissions()
        .into_iter()
        .filter(|came| came.spec.as_ref().is_some_and(|spec| spec.idempotency_key == "run"));
    assert!(runs.count() <= 2, "accepted once, and at the most asked for once more");
}
