//! Where what waits stands, and what is found of it while it moves on.

use sqlx::{Connection, PgConnection};

use super::Shared;
use super::keys::wait_for;
use crate::domain::invocation::{Accepted, Status};
use crate::store::conformance::{NOW, Port, accept, accept_command, accepted, cancel, in_session, leased, one, settle};
use crate::store::shared::Shared as Processes;
use crate::store::{Accept, Acceptance, Answer, Command, Filter};

fn shared(port: &Port) -> &dyn Processes {
    port.shared().expect("processes share it")
}

#[tokio::test]
async fn a_member_that_may_begin_later_comes_up_once_it_is_the_first() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let head = in_session("s");
    let next = Accepted { not_before: Some(NOW + 50_000_000), ..in_session("s") };
    accept(&ours, &head).await;
    accept(&ours, &next).await;
    let due = async |at| shared(&ours).due(at, 10).await.unwrap().delayed;
    settle(&theirs, head.id, cancel()).await;
    assert!(due(NOW + 40_000_000).await.is_empty(), "its time has not come");
    assert_eq!(due(NOW + 60_000_000).await, [next.id]);
    match one(&ours, Command::Promote(vec![next.id])).await {
        Answer::Promoted(ready) => assert_eq!(ready.len(), 1),
        other => panic!("{other:?}"),
    }
    leased(&theirs, next.id).await;
    assert!(due(NOW + 60_000_000).await.is_empty());
}

#[tokio::test]
async fn a_time_before_its_acceptance_puts_nothing_before_the_others() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let early = Accepted { not_before: Some(1), ..accepted() };
    let Acceptance::Created { ready: Some(here), .. } = accept(&ours, &early).await else { panic!("it is ready") };
    let there = shared(&theirs).tail(Vec::new(), 10).await.unwrap();
    assert_eq!([here.ready_at, there[0].ready_at], [early.at; 2]);
}

#[tokio::test]
async fn nothing_is_noted_for_a_process_that_is_gone() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let asked = accepted();
    let Command::Accept(accept) = accept_command(&asked) else { unreachable!() };
    one(&ours, Command::Accept(Box::new(Accept { awaited: true, ..*accept }))).await;
    shared(&theirs).bury(shared(&ours).writer()).await.unwrap();
    settle(&theirs, asked.id, cancel()).await;
    assert_eq!(server.0.query("SELECT count(*) FROM s.notes").await, "0", "nobody would take it");
}

#[tokio::test]
async fn what_moves_on_while_a_page_is_read_cuts_it_not_short() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let all: Vec<Accepted> = (0..5).map(|_| accepted()).collect();
    for accepted in &all {
        accept(&ours, accepted).await;
    }
    // The ids are read, the records wait for a table that only they need.
    let mut gate = PgConnection::connect(&server.0.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE s.past_ends IN ACCESS EXCLUSIVE MODE").execute(&mut gate).await.unwrap();
    let page = tokio::spawn(async move {
        let filter = Filter { tenant: Some("t".into()), statuses: vec![Status::Queued], limit: 3, ..Filter::default() };
        ours.list(filter).await.unwrap()
    });
    wait_for(&server, 1).await;
    settle(&theirs, all[4].id, cancel()).await;
    sqlx::raw_sql("COMMIT").execute(&mut gate).await.unwrap();
    let page: Vec<_> = page.await.unwrap().into_iter().map(|record| record.accepted.id).collect();
    assert_eq!(page, [all[4].id, all[3].id, all[2].id], "as it was when the page was begun");
}
