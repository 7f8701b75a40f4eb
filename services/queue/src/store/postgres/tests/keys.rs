//! Idempotency keys whose time is over, at several processes at once.

use sqlx::{Connection, PgConnection};

use super::Shared;
use crate::domain::invocation::Accepted;
use crate::store::conformance::{NOW, Port, accept, accept_command, accepted, cancel, one, settle};
use crate::store::{Accept, Acceptance, Answer, Command, Litter, Sweep};

/// A key of an invocation that has ended, and somebody who holds its row.
struct Held {
    server: Shared,
    ports: [Port; 2],
    gate: PgConnection,
}

impl Held {
    async fn start() -> Self {
        let server = Shared::start().await;
        let ports = [server.process("s").await as Port, server.process("s").await as Port];
        let old = keyed(NOW);
        accept(&ports[0], &old).await;
        settle(&ports[0], old.id, cancel()).await;
        let mut gate = PgConnection::connect(&server.0.url()).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT FROM s.idempotency_keys FOR UPDATE").execute(&mut gate).await.unwrap();
        Self { server, ports, gate }
    }

    /// Lets go once so many wait.
    async fn let_go(&mut self, waiting: i64) {
        wait_for(&self.server, waiting).await;
        sqlx::raw_sql("COMMIT").execute(&mut self.gate).await.unwrap();
    }
}

/// Waits until so many sessions wait for a lock.
pub(super) async fn wait_for(server: &Shared, waiting: i64) {
    let mut watcher = PgConnection::connect(&server.0.url()).await.unwrap();
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(asked).fetch_one(&mut watcher).await.unwrap() < waiting {}
}

fn keyed(at: i64) -> Accepted {
    Accepted { at, idempotency_key: Some("k".into()), ..accepted() }
}

fn later() -> Command {
    let Command::Accept(accept) = accept_command(&keyed(NOW + 9)) else { unreachable!() };
    Command::Accept(Box::new(Accept { keys_since: NOW + 5, ..*accept }))
}

#[tokio::test]
async fn a_key_whose_time_is_over_goes_to_one_of_two_that_ask_for_it() {
    let mut held = Held::start().await;
    let [ours, theirs] = held.ports.clone();
    let (here, there, ()) = tokio::join!(one(&ours, later()), one(&theirs, later()), held.let_go(2));
    let created = |answer: &Answer| matches!(answer, Answer::Accepted(Acceptance::Created { .. }));
    assert_ne!(created(&here), created(&there), "{here:?} {there:?}");
}

#[tokio::test]
async fn a_key_that_is_given_anew_is_not_swept_away_with_its_old_invocation() {
    let Held { server, ports: [ours, theirs], mut gate } = Held::start().await;
    let sweep = async {
        // Behind the one that takes the key.
        wait_for(&server, 1).await;
        theirs.sweep(Sweep { litter: Litter::Keys, now: NOW + 5, before: NOW + 5, from: None, limit: 9 }).await.unwrap()
    };
    let let_go = async {
        wait_for(&server, 2).await;
        sqlx::raw_sql("COMMIT").execute(&mut gate).await.unwrap();
    };
    let (taken, _, ()) = tokio::join!(one(&ours, later()), sweep, let_go);
    assert!(matches!(taken, Answer::Accepted(Acceptance::Created { .. })));
    assert_eq!(server.0.query("SELECT count(*) FROM s.idempotency_keys").await, "1");
}
