//! Several processes decide on the same rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::Shared;
use crate::domain::invocation::{Accepted, Status};
use crate::domain::record::Standing;
use crate::store::conformance::{
    NOW, Port, accept, accept_command, accept_new, accepted, batch, became, cancel, claim, claim_command, complete,
    fail, in_session, leased, lose, one, settle, settle_command,
};
use crate::store::{Acceptance, Adopt, AdoptFrom, Answer, Change, Command, Redrive, Settlement};

/// Two processes on one schema.
async fn two(server: &Shared) -> [Port; 2] {
    [server.process("s").await as Port, server.process("s").await as Port]
}

#[tokio::test]
async fn one_key_at_two_processes_is_one_invocation() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    for round in 0..20 {
        let key = || Accepted { idempotency_key: Some(format!("k{round}")), ..accepted() };
        let (ours, theirs) = (key(), key());
        let (here, there) = tokio::join!(accept(&ports[0], &ours), accept(&ports[1], &theirs));
        let created = |acceptance: &Acceptance| matches!(acceptance, Acceptance::Created { .. });
        assert_ne!(created(&here), created(&there), "{here:?} {there:?}");
        let (first, second) = if created(&here) { (ours.id, there) } else { (theirs.id, here) };
        assert_eq!(second, Acceptance::Existing { id: first, same: true });
    }
}

#[tokio::test]
async fn a_race_for_a_lease_has_one_winner() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    for _ in 0..20 {
        let one = accepted();
        accept(&ports[0], &one).await;
        let (here, there) = tokio::join!(claim(&ports[0], one.id), claim(&ports[1], one.id));
        assert_ne!(here.is_some(), there.is_some());
        let (winner, loser, (lease, _)) = match (here, there) {
            (Some(held), None) => (0, 1, held),
            (None, Some(held)) => (1, 0, held),
            other => panic!("{other:?}"),
        };
        let stolen = settle(&ports[loser], one.id, lose(lease)).await;
        assert!(matches!(stolen, Settlement::Refused(_)), "only the keeper can tell that its holder is gone");
        assert_eq!(became(settle(&ports[winner], one.id, lose(lease)).await), Status::Queued);
    }
}

#[tokio::test]
async fn a_session_at_two_processes_keeps_its_order_and_promotes_each_member_once() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    let mut places = BTreeSet::new();
    let mut members = Vec::new();
    for _ in 0..10 {
        let (ours, theirs) = (in_session("s"), in_session("s"));
        let (here, there) = tokio::join!(accept(&ports[0], &ours), accept(&ports[1], &theirs));
        for (acceptance, id) in [(here, ours.id), (there, theirs.id)] {
            let Acceptance::Created { place: Some(place), ready, .. } = acceptance else { panic!("{acceptance:?}") };
            assert!(places.insert(place.order), "two in one place");
            assert_eq!(ready.is_some(), place.order == 1, "only the head is ready");
            members.push((place.order, id));
        }
    }
    members.sort_unstable();
    for window in members.windows(2) {
        let [(_, head), (_, next)] = window else { unreachable!() };
        assert!(claim(&ports[1], *next).await.is_none(), "its turn has not come");
        let lease = leased(&ports[0], *head).await;
        match settle(&ports[1], *head, complete(lease)).await {
            Settlement::Now { ready, .. } => {
                assert_eq!(ready.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), [*next]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_member_that_comes_while_the_head_ends_is_never_left_behind() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    for round in 0..30 {
        let name = format!("s{round}");
        let (head, next) = (in_session(&name), in_session(&name));
        accept(&ports[0], &head).await;
        let (ended, came) = tokio::join!(settle(&ports[0], head.id, cancel()), accept(&ports[1], &next));
        let promoted = match ended {
            Settlement::Now { ready, .. } => ready.iter().any(|candidate| candidate.id == next.id),
            other => panic!("{other:?}"),
        };
        let ready = matches!(came, Acceptance::Created { ready: Some(_), .. });
        assert!(promoted ^ ready, "one of the two, and only one, makes it ready");
        assert!(claim(&ports[0], next.id).await.is_some());
    }
}

#[tokio::test]
async fn neighbours_that_end_at_once_leave_their_session_going() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    for round in 0..30 {
        let name = format!("s{round}");
        let members: Vec<Accepted> = (0..4).map(|_| in_session(&name)).collect();
        batch(&ports[0], members.iter().map(accept_command).collect()).await;
        // The head and the one behind it end at two processes, and a third one later in the same breath.
        let (first, second, third) = tokio::join!(
            settle(&ports[0], members[0].id, cancel()),
            settle(&ports[1], members[1].id, cancel()),
            settle(&ports[1], members[2].id, cancel()),
        );
        let ready: Vec<Uuid> = [first, second, third]
            .into_iter()
            .flat_map(|settlement| match settlement {
                Settlement::Now { ready, .. } => ready,
                other => panic!("{other:?}"),
            })
            .map(|candidate| candidate.id)
            .collect();
        assert!(ready.contains(&members[3].id), "somebody promotes the one that is left");
        assert!(claim(&ports[0], members[3].id).await.is_some());
    }
}

#[tokio::test]
async fn batches_over_the_same_sessions_do_not_block_each_other_for_good() {
    let server = Shared::start().await;
    let ports = two(&server).await;
    let lone: Vec<Accepted> = (0..8).map(|_| accepted()).collect();
    batch(&ports[0], lone.iter().map(accept_command).collect()).await;
    let storm = async |port: &Port, reverse: bool| {
        for round in 0..15 {
            let mut members: Vec<Accepted> = (0..8).map(|n| in_session(&format!("s{n}"))).collect();
            let mut lone: Vec<Uuid> = lone.iter().map(|accepted| accepted.id).collect();
            if reverse {
                members.reverse();
                lone.reverse();
            }
            let claims = lone.into_iter().map(|id| claim_command(id, Uuid::now_v7(), NOW + round));
            let mut commands: Vec<_> = members.iter().map(accept_command).chain(claims).collect();
            commands.extend(members.iter().map(|member| settle_command(member.id, cancel())));
            batch(port, commands).await;
        }
    };
    tokio::join!(storm(&ports[0], false), storm(&ports[1], true));
    let left = ports[0].shared().unwrap().counts().await.unwrap();
    assert_eq!(left.iter().map(|count| (count.queued, count.leased)).collect::<Vec<_>>(), [(0, 8)]);
}

#[tokio::test]
async fn whoever_takes_a_lease_over_is_its_keeper_and_the_former_one_is_told() {
    let server = Shared::start().await;
    let (first, second) = (server.process("s").await, server.process("s").await);
    let (ours, theirs) = (Arc::clone(&first) as Port, Arc::clone(&second) as Port);
    let id = accepted();
    accept(&ours, &id).await;
    let lease = leased(&ours, id.id).await;
    let adopt = async |port: &Port, from: AdoptFrom| {
        let command = Command::Adopt(Adopt { id: id.id, lease, from, to: None });
        matches!(one(port, command).await, Answer::Adopted(Some(_)))
    };
    let writer = |port: &Port| port.shared().unwrap().writer();
    assert!(!adopt(&theirs, AdoptFrom::Keeper(writer(&theirs))).await, "another one keeps it");
    assert_eq!(theirs.shared().unwrap().leases_of(writer(&ours), 9).await.unwrap().len(), 1);
    assert!(adopt(&theirs, AdoptFrom::Keeper(writer(&ours))).await);
    assert!(!adopt(&theirs, AdoptFrom::Keeper(writer(&ours))).await, "it is not its any more");
    assert!(ours.shared().unwrap().leases_of(writer(&ours), 9).await.unwrap().is_empty());
    let notes = ours.shared().unwrap().notes(9).await.unwrap();
    assert_eq!(notes, [crate::store::Note::LeaseOver { id: id.id, lease, reason: None }]);
    assert!(matches!(settle(&ours, id.id, lose(lease)).await, Settlement::Refused(_)));
    assert!(matches!(settle(&ours, id.id, fail(lease)).await, Settlement::Now { .. }), "its holder may go anywhere");
}

#[tokio::test]
async fn expired_work_is_never_leased() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    let late = Accepted { deadline: Some(NOW), ..accepted() };
    accept(&port, &late).await;
    assert!(claim(&port, late.id).await.is_none());
    assert_eq!(became(settle(&port, late.id, Change::Expire).await), Status::Failed);
    let found = port.get(late.id, None, false).await.unwrap().unwrap();
    assert!(matches!(found.standing, Standing::Ended(_)));
}

#[tokio::test]
async fn what_was_redriven_does_not_expire_by_its_old_deadline() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    for deadline in [None, Some(NOW + 20)] {
        let late = Accepted { deadline: Some(NOW), ..accepted() };
        accept(&port, &late).await;
        let found = port.shared().unwrap().due(NOW, 9).await.unwrap().expired;
        assert_eq!(found, [late.id]);
        assert_eq!(became(settle(&port, late.id, Change::Expire).await), Status::Failed);
        let redrive = Redrive {
            id: late.id,
            tenant: None,
            redrive: Uuid::now_v7(),
            statuses: vec![Status::Failed],
            deadline,
            ready_at: NOW,
            now: NOW,
        };
        assert!(matches!(one(&port, Command::Redrive(Box::new(redrive))).await, Answer::Redriven(_)));
        // Another process found it past its old deadline, and comes to it only now.
        assert!(matches!(settle(&port, late.id, Change::Expire).await, Settlement::Refused(_)));
        assert!(claim(&port, late.id).await.is_some());
    }
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_transaction_fails_nobody_elses() {
    let server = Shared::start().await;
    let (stopped, other) = (server.process("s").await, server.process("s").await as Port);
    let id = accept_new(&other).await;
    let mut held = stopped.reads.begin().await.unwrap();
    sqlx::query("SELECT FROM live FOR UPDATE").execute(&mut *held).await.unwrap();
    assert!(claim(&other, id).await.is_some(), "the server ends what stands still");
    held.commit().await.expect_err("it is over");
}
