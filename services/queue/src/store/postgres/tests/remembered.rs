//! What this process remembers of its leases decides nothing that is not so any more.

use std::sync::Arc;

use uuid::Uuid;

use super::Shared;
use crate::domain::invocation::Status;
use crate::domain::record::Standing;
use crate::store::conformance::{
    Port, accept_leased, batch, became, cancel, claim, complete, leased, lose, one, settle, settle_command,
};
use crate::store::{Adopt, AdoptFrom, Answer, Command, Gone, Note, Settlement};

/// Two processes on one schema.
async fn two(server: &Shared) -> [Port; 2] {
    [server.process("s").await as Port, server.process("s").await as Port]
}

fn writer(port: &Port) -> i64 {
    port.shared().unwrap().writer()
}

fn settlements(answers: Vec<Answer>) -> Vec<Settlement> {
    let settlement = |answer| match answer {
        Answer::Settled(settlement) => *settlement,
        other => panic!("{other:?}"),
    };
    answers.into_iter().map(settlement).collect()
}

async fn takes_over(port: &Port, from: &Port, id: Uuid, lease: Uuid) {
    let command = Command::Adopt(Adopt { id, lease, from: AdoptFrom::Keeper(writer(from)), to: None });
    assert!(matches!(one(port, command).await, Answer::Adopted(Some(_))));
}

async fn takes_over_and_loses(port: &Port, from: &Port, id: Uuid, lease: Uuid) {
    takes_over(port, from, id, lease).await;
    assert_eq!(became(settle(port, id, lose(lease)).await), Status::Queued);
}

#[tokio::test]
async fn a_lease_that_ended_elsewhere_completes_nothing_and_its_neighbours_are_stored() {
    let server = Shared::start().await;
    let [ours, theirs] = two(&server).await;
    let ((well, kept), (gone, lost)) = (accept_leased(&ours).await, accept_leased(&ours).await);
    assert_eq!(became(settle(&theirs, gone, cancel()).await), Status::Cancelled);
    let ends = [(gone, lost), (well, kept)].map(|(id, lease)| settle_command(id, complete(lease)));
    let settled = settlements(batch(&ours, ends.into()).await);
    assert!(matches!(settled[..], [Settlement::Refused(Gone::Cancelled), Settlement::Now { .. }]), "{settled:?}");
    for (id, status) in [(gone, Status::Cancelled), (well, Status::Succeeded)] {
        match ours.get(id, None, false).await.unwrap().unwrap().standing {
            Standing::Ended(ended) => assert_eq!(ended.outcome.status(), status),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_lease_that_was_taken_over_and_lost_completes_nothing_while_another_runs() {
    let server = Shared::start().await;
    let [ours, theirs] = two(&server).await;
    let (work, first) = accept_leased(&ours).await;
    takes_over_and_loses(&theirs, &ours, work, first).await;
    let (second, _) = claim(&theirs, work).await.expect("it is queued again");
    let late = settle(&ours, work, complete(first)).await;
    assert!(matches!(late, Settlement::Refused(Gone::LeaseLost)), "{late:?}");
    assert_eq!(became(settle(&theirs, work, complete(second)).await), Status::Succeeded);
}

#[tokio::test]
async fn a_lease_that_another_process_gave_since_is_completed_where_a_former_one_is_remembered() {
    let server = Shared::start().await;
    let [ours, theirs] = two(&server).await;
    let (work, first) = accept_leased(&ours).await;
    takes_over_and_loses(&theirs, &ours, work, first).await;
    let second = leased(&theirs, work).await;
    assert_eq!(became(settle(&ours, work, complete(second)).await), Status::Succeeded);
}

#[tokio::test]
async fn who_took_a_lease_over_is_told_when_it_is_completed_at_its_former_keeper() {
    let server = Shared::start().await;
    let [ours, theirs] = two(&server).await;
    let (work, lease) = accept_leased(&ours).await;
    takes_over(&theirs, &ours, work, lease).await;
    assert_eq!(became(settle(&ours, work, complete(lease)).await), Status::Succeeded);
    let told = theirs.shared().unwrap().notes(9).await.unwrap();
    assert!(told.contains(&Note::LeaseOver { id: work, lease, reason: None }), "{told:?}");
}

#[tokio::test]
async fn a_repeated_completion_has_its_first_answer() {
    let server = Shared::start().await;
    let [ours, _] = two(&server).await;
    let (work, lease) = accept_leased(&ours).await;
    let twice = (0..2).map(|_| settle_command(work, complete(lease))).collect();
    let settled = settlements(batch(&ours, twice).await);
    let [Settlement::Now { .. }, Settlement::Before { status: Status::Succeeded, .. }] = settled[..] else {
        panic!("{settled:?}")
    };
    let other = settle(&ours, work, complete(Uuid::now_v7())).await;
    assert!(matches!(other, Settlement::Refused(Gone::LeaseLost)), "{other:?}");
}

const ENDS_ALL: &str = "
    WITH gone AS (DELETE FROM live RETURNING *)
    INSERT INTO ended (id, at, event, input_tokens, output_tokens, state, attempt, lost, retryable, reason, message, tenant)
    SELECT id, 1, events + 1, 0, 0, 5, attempt, lost, false, 'CANCELLED', '', tenant FROM gone";

#[tokio::test]
async fn a_lease_whose_row_another_process_has_in_hand_is_completed_after_it() {
    let server = Shared::start().await;
    let process = server.process("s").await;
    let ours = Arc::clone(&process) as Port;
    for (change, status) in [("UPDATE live SET events = events + 1", Status::Succeeded), (ENDS_ALL, Status::Cancelled)]
    {
        let (work, lease) = accept_leased(&ours).await;
        let mut other = process.duties.begin().await.unwrap();
        sqlx::raw_sql(change).execute(&mut *other).await.unwrap();
        let ending = tokio::spawn({
            let ours = Arc::clone(&ours);
            async move { settle(&ours, work, complete(lease)).await }
        });
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')";
        while server.0.query(waits).await != "t" {}
        other.commit().await.unwrap();
        let settlement = ending.await.unwrap();
        match status {
            Status::Succeeded => assert_eq!(became(settlement), status),
            _ => assert!(matches!(settlement, Settlement::Refused(_)), "{settlement:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_tried_before_is_part_of_the_answer() {
    let server = Shared::start().await;
    let [ours, _] = two(&server).await;
    let (work, first) = accept_leased(&ours).await;
    assert_eq!(became(settle(&ours, work, lose(first)).await), Status::Queued);
    let second = leased(&ours, work).await;
    match settle(&ours, work, complete(second)).await {
        Settlement::Now { tries, .. } => {
            assert_eq!(tries.iter().map(|tried| tried.lease.id).collect::<Vec<_>>(), [first])
        }
        other => panic!("{other:?}"),
    }
}
