//! What one transaction makes of an invocation that is new in it, as others find it afterwards.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::event::Report;
use crate::domain::invocation::{Accepted, Status};
use crate::domain::record::Standing;
use crate::store::conformance::{
    NOW, Port, accept_command, accepted, batch, claim_command, complete, fail, settle_command,
};
use crate::store::sqlite::Sqlite;
use crate::store::{Acceptance, Answer, Command, Keep, Tell};

fn open() -> (Port, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (deliver, answer) = holdfast_storage::waiters();
    tokio::spawn(answer);
    (Arc::new(Sqlite::open(directory.path(), Duration::ZERO, deliver).unwrap()), directory)
}

/// Accepts and leases an invocation, and does the rest, all in one transaction; where it stands and how many events it has.
async fn at_once(store: &Port, rest: impl FnOnce(Uuid, Uuid) -> Vec<Command>) -> (Status, u64) {
    let (new, lease) = (accepted(), Uuid::now_v7());
    let mut commands = vec![accept_command(&new), claim_command(new.id, lease, NOW)];
    commands.extend(rest(new.id, lease));
    batch(store, commands).await;
    let found = store.get(new.id, None, true).await.unwrap().expect("it was accepted");
    let waits = store.waiting().await.unwrap().iter().any(|waiting| waiting.id == new.id);
    let status = found.standing.status();
    assert_eq!(waits, !status.is_terminal(), "{status:?}");
    let events = match found.standing {
        Standing::Live(live) => live.events,
        Standing::Ended(ended) => ended.event,
    };
    (status, events)
}

#[tokio::test]
async fn what_one_transaction_makes_of_a_new_invocation_is_what_is_stored() {
    let (store, _kept) = open();
    assert_eq!(at_once(&store, |_, _| vec![]).await, (Status::Leased, 2));
    assert_eq!(at_once(&store, |id, lease| vec![settle_command(id, complete(lease))]).await, (Status::Succeeded, 3));
    assert_eq!(at_once(&store, |id, lease| vec![settle_command(id, fail(lease))]).await, (Status::Queued, 3));
    let tell = |id, lease| {
        let report = Report::Progress { message: "half".into(), fraction: Some(0.5) };
        Command::Tell(Box::new(Tell { id, lease, now: NOW, report, keep: Keep { items: 9, bytes: 9_000 } }))
    };
    assert_eq!(at_once(&store, |id, lease| vec![tell(id, lease)]).await, (Status::Leased, 3));
}

#[tokio::test]
async fn a_key_whose_invocation_is_new_in_the_transaction_is_not_free() {
    let (store, _kept) = open();
    let keyed = || Accepted { idempotency_key: Some("k".into()), ..accepted() };
    let (first, second) = (keyed(), keyed());
    let mut repeat = accept_command(&second);
    if let Command::Accept(accept) = &mut repeat {
        accept.keys_since = NOW + 1;
    }
    let answers = batch(&store, vec![accept_command(&first), repeat]).await;
    let Answer::Accepted(Acceptance::Existing { id, same }) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!((*id, *same), (first.id, true));
    assert_eq!(store.waiting().await.unwrap().len(), 1);
}
