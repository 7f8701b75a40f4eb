//! What a batch decides by without reading it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_storage::{Ledger, Witness, Wrote};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::Shared;
use crate::domain::event::Report;
use crate::domain::invocation::Accepted;
use crate::store::conformance::{
    NOW, Port, accept_command, accepted, cancel, claim_command, complete, fail, in_session, lose, settle,
    settle_command,
};
use crate::store::postgres::ledger::{Listeners, QueueLedger};
use crate::store::postgres::load::load;
use crate::store::postgres::set::Counters;
use crate::store::{Command, Keep, Tell};

/// A ledger by itself, on a connection of its own.
struct Alone {
    ledger: QueueLedger,
    connection: PgConnection,
    witness: Witness,
    forgotten: Arc<AtomicBool>,
}

impl Alone {
    async fn beside(server: &Shared) -> Self {
        let process = server.process("s").await;
        let mut connection = PgConnection::connect(&server.0.url()).await.unwrap();
        sqlx::raw_sql("SET search_path = s").execute(&mut connection).await.unwrap();
        let forgotten = Arc::default();
        let listeners = Listeners {
            last_rank: Arc::default(),
            forgotten: Arc::clone(&forgotten),
            looked: Arc::default(),
            announcer: Default::default(),
        };
        let counters = Counters { writer: process.id, rank: 0, seq: 0 };
        let witness = Witness { writer: 1, number: 0 };
        Self { ledger: QueueLedger::new(counters, listeners), connection, witness, forgotten }
    }

    async fn stores(&mut self, commands: &[Command]) {
        let mut tx = self.connection.begin().await.unwrap();
        self.witness.number += 1;
        let Ok(applied) = self.ledger.apply(&mut tx, commands, self.witness).await else { panic!("it is stored") };
        assert_eq!(applied.wrote, Wrote::RowsAndWitness);
        tx.commit().await.unwrap();
        self.ledger.committed();
    }

    /// Stores by the statement alone, or says by which code the server refuses it; none where more must be asked.
    async fn stores_at_once(&mut self, commands: &[Command]) -> Option<Result<(), String>> {
        self.witness.number += 1;
        let Ok(decided) = self.ledger.decide(commands, self.witness)? else { panic!("it is decided") };
        let (sql, arguments) = decided.statement.expect("something is stored");
        let row = match sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_one(&mut self.connection).await {
            Ok(row) => row,
            Err(error) => {
                self.ledger.rolled_back();
                let code = error.as_database_error().and_then(|error| error.code());
                return Some(Err(code.expect("the server says so").into_owned()));
            }
        };
        self.ledger.answered(&row);
        self.ledger.committed();
        Some(Ok(()))
    }

    /// What of the commands' stored rows is not read.
    async fn unread(&mut self, commands: &[Command]) -> HashSet<Uuid> {
        let mut tx = self.connection.begin().await.unwrap();
        let loaded = load(&mut tx, self.ledger.counters, &self.ledger.remembered, commands).await;
        let Ok(set) = loaded else { panic!("it is loaded") };
        set.entries.into_iter().filter(|(_, entry)| !entry.is_read()).map(|(id, _)| id).collect()
    }
}

#[tokio::test]
async fn what_is_completed_where_it_was_leased_is_not_read() {
    let server = Shared::start().await;
    let mut alone = Alone::beside(&server).await;
    let (first, second, later, member) = (accepted(), accepted(), accepted(), in_session("s"));
    let leases = [&first, &second, &later, &member].map(|one| (one.id, Uuid::now_v7()));
    let claims = leases.map(|(id, lease)| move || claim_command(id, lease, NOW));
    let ends = leases.map(|(id, lease)| move || settle_command(id, complete(lease)));
    let mut commands: Vec<_> = [&first, &second, &later, &member].map(accept_command).into();
    commands.extend([claims[0](), claims[1](), claims[3]()]);
    alone.stores(&commands).await;
    assert_eq!(alone.unread(&[ends[0](), ends[1]()]).await, HashSet::from([first.id, second.id]));
    // It was leased after it had waited.
    alone.stores(&[claims[2]()]).await;
    assert_eq!(alone.unread(&[ends[2]()]).await, HashSet::from([later.id]));
    // Beside what is accepted and leased in the same batch.
    let new = accepted();
    let direct = [accept_command(&new), claim_command(new.id, Uuid::now_v7(), NOW), ends[1]()];
    assert_eq!(alone.unread(&direct).await, HashSet::from([second.id]));
    // What has ended is not known any more.
    alone.stores(&[ends[1]()]).await;
    assert_eq!(alone.unread(&[ends[1]()]).await, HashSet::new());
    assert_eq!(alone.unread(&[ends[0]()]).await, HashSet::from([first.id]));
}

#[tokio::test]
async fn all_are_read_or_none_and_whoever_was_wrong_reads() {
    let server = Shared::start().await;
    let mut alone = Alone::beside(&server).await;
    let (lone, waiting, member) = (accepted(), accepted(), in_session("s"));
    let leases = [&lone, &member].map(|one| (one.id, Uuid::now_v7()));
    let mut commands: Vec<_> = [&lone, &waiting, &member].map(accept_command).into();
    commands.extend(leases.map(|(id, lease)| claim_command(id, lease, NOW)));
    alone.stores(&commands).await;
    let [end, end_of_member] = leases.map(|(id, lease)| move || settle_command(id, complete(lease)));
    let none = HashSet::new();
    assert_eq!(alone.unread(&[end(), end_of_member()]).await, none);
    assert_eq!(alone.unread(&[end(), accept_command(&in_session("s"))]).await, none);
    assert_eq!(alone.unread(&[end(), claim_command(waiting.id, Uuid::now_v7(), NOW)]).await, none);
    assert_eq!(alone.unread(&[settle_command(lone.id, fail(leases[0].1))]).await, none);
    assert_eq!(alone.unread(&[settle_command(lone.id, complete(Uuid::now_v7()))]).await, none, "another lease");
    assert_eq!(alone.unread(&[end()]).await, HashSet::from([lone.id]));
    alone.ledger.rolled_back();
    assert_eq!(alone.unread(&[end()]).await, none);
}

/// A new one, as it is accepted for a worker that waits, and its lease.
fn leased_at_once() -> ([Command; 2], Uuid, Uuid) {
    let (new, lease) = (accepted(), Uuid::now_v7());
    ([accept_command(&new), claim_command(new.id, lease, NOW)], new.id, lease)
}

#[tokio::test]
async fn what_need_not_be_read_is_stored_by_one_statement() {
    let server = Shared::start().await;
    let mut alone = Alone::beside(&server).await;
    let (begin, first, lease) = leased_at_once();
    assert!(alone.stores_at_once(&begin).await.is_none(), "whether others know this process must be asked first");
    alone.stores(&begin).await;
    let (next, second, its_lease) = leased_at_once();
    let [accept, claim] = next;
    let end = settle_command(first, complete(lease));
    assert_eq!(alone.stores_at_once(&[accept, end, claim, accept_command(&accepted())]).await, Some(Ok(())));
    assert_eq!(server.0.query("SELECT count(*) FROM s.live").await, "2");
    assert_eq!(alone.stores_at_once(&[settle_command(second, complete(its_lease))]).await, Some(Ok(())));
    assert_eq!(server.0.query("SELECT count(*) FROM s.live").await, "1");
}

#[tokio::test]
async fn what_must_be_read_is_not_decided_before() {
    let server = Shared::start().await;
    let mut alone = Alone::beside(&server).await;
    let (waiting, tried, lease) = (accepted(), accepted(), Uuid::now_v7());
    let (begin, leased, its_lease) = leased_at_once();
    let mut commands: Vec<_> = begin.into();
    commands.extend([accept_command(&waiting), accept_command(&tried), claim_command(tried.id, lease, NOW)]);
    alone.stores(&commands).await;
    let again = Uuid::now_v7();
    alone.stores(&[settle_command(tried.id, lose(lease))]).await;
    alone.stores(&[claim_command(tried.id, again, NOW)]).await;
    let keyed = Accepted { idempotency_key: Some("k".into()), ..accepted() };
    for asked in [
        accept_command(&keyed),
        accept_command(&in_session("s")),
        claim_command(waiting.id, Uuid::now_v7(), NOW),
        settle_command(leased, fail(its_lease)),
        settle_command(leased, cancel()),
        settle_command(leased, complete(Uuid::now_v7())),
        settle_command(tried.id, complete(again)),
    ] {
        let shown = format!("{asked:?}");
        assert_eq!(alone.stores_at_once(&[accept_command(&accepted()), asked]).await, None, "{shown}");
    }
    let end = || settle_command(leased, complete(its_lease));
    let report = |bytes| {
        let (report, keep) =
            (Report::Chunk { attempt: 1, data: vec![1; bytes].into() }, Keep { items: 10, bytes: 6_400 });
        Command::Tell(Box::new(Tell { id: leased, lease: its_lease, now: NOW, report, keep }))
    };
    assert_eq!(alone.stores_at_once(&[report(300), end()]).await, None, "it takes the place of others");
    assert_eq!(alone.stores_at_once(&[accept_command(&accepted()), report(1), end()]).await, Some(Ok(())));
}

#[tokio::test]
async fn nothing_is_stored_by_what_is_not_so_any_more() {
    let server = Shared::start().await;
    let mut alone = Alone::beside(&server).await;
    let refused = Some(Err("22012".to_owned()));
    let (begin, id, lease) = leased_at_once();
    alone.stores(&begin).await;
    // Another process changes what this one remembers.
    let other: Port = server.process("s").await;
    settle(&other, id, cancel()).await;
    let new = accepted();
    assert_eq!(alone.stores_at_once(&[accept_command(&new), settle_command(id, complete(lease))]).await, refused);
    assert_eq!(server.0.query("SELECT count(*) FROM s.live").await, "0");
    // Others take this one for dead.
    alone.stores(&[accept_command(&accepted())]).await;
    let bury = format!("UPDATE s.processes SET is_buried = true WHERE writer = {}", alone.ledger.counters.writer);
    server.0.query(&bury).await;
    assert_eq!(alone.stores_at_once(&[accept_command(&new)]).await, refused);
    assert!(!alone.forgotten.load(Ordering::Relaxed));
    alone.stores(&[accept_command(&new)]).await;
    assert!(alone.forgotten.load(Ordering::Relaxed), "it is known again, and hears of it");
    assert_eq!(alone.stores_at_once(&[accept_command(&accepted())]).await, Some(Ok(())));
    assert_eq!(server.0.query("SELECT count(*) FROM s.live").await, "3");
}
