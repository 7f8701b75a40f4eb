//! What a batch decides by without reading it.

use std::collections::HashSet;
use std::sync::Arc;

use holdfast_storage::{Ledger, Witness, Wrote};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Shared;
use crate::store::Command;
use crate::store::conformance::{
    NOW, accept_command, accepted, claim_command, complete, fail, in_session, settle_command,
};
use crate::store::postgres::ledger::{Listeners, QueueLedger};
use crate::store::postgres::load::load;
use crate::store::postgres::set::Counters;

/// A ledger by itself, on a connection of its own.
struct Alone {
    ledger: QueueLedger,
    connection: PgConnection,
    witness: Witness,
}

impl Alone {
    async fn beside(server: &Shared) -> Self {
        let process = server.process("s").await;
        let mut connection = PgConnection::connect(&server.0.url()).await.unwrap();
        sqlx::raw_sql("SET search_path = s").execute(&mut connection).await.unwrap();
        let listeners = Listeners {
            last_rank: Arc::default(),
            forgotten: Arc::default(),
            looked: Arc::default(),
            announcer: Default::default(),
        };
        let counters = Counters { writer: process.id, rank: 0, seq: 0 };
        let witness = Witness { writer: 1, number: 0 };
        Self { ledger: QueueLedger::new(counters, listeners), connection, witness }
    }

    async fn stores(&mut self, commands: &[Command]) {
        let mut tx = self.connection.begin().await.unwrap();
        self.witness.number += 1;
        let Ok(applied) = self.ledger.apply(&mut tx, commands, self.witness).await else { panic!("it is stored") };
        assert_eq!(applied.wrote, Wrote::RowsAndWitness);
        tx.commit().await.unwrap();
        self.ledger.committed();
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
