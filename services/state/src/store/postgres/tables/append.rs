//! What a transaction leaves: the history of its writes, the records as the last of them left each, and the shards' places.

use std::collections::HashMap;

use holdfast_storage::{Class, Failure, Trouble};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Address, Edition, Micros, Seq, ShardId};
use crate::store::Change;
use crate::store::postgres::rows::{self, signed};

pub(in crate::store::postgres) const STORE: &str = include_str!("store.sql");

/// A shard's place, as its row was read and as it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// Which shard.
    pub shard: ShardId,
    /// Where it must stand.
    pub from: Seq,
    /// Where it stands then.
    pub to: Seq,
}

/// Stores writes, in one statement: each keeps its row in the history, of each record only the last state is written, and the
/// shards' places rise. The caller gave the editions their places and those before them (`seq`, `previous`; 0 where there is
/// none); a record's number is given here.
///
/// # Errors
/// [`Trouble::Again`] where a record or a shard does not stand as the caller believes: somebody came in between, and nothing
/// may be committed.
pub async fn store(tx: &mut PgConnection, changes: &[Change], advances: &[Advance]) -> Result<(), Trouble> {
    let rows = Rows::of(changes);
    let expected = (rows.records.len(), advances.len());
    let query = rows.records.bind(sqlx::query(STORE));
    let query = rows.writes.bind(query);
    let shards: Vec<_> = advances.iter().map(|advance| rows::shard_number(advance.shard)).collect();
    let froms: Vec<_> = advances.iter().map(|advance| signed(advance.from)).collect();
    let tos: Vec<_> = advances.iter().map(|advance| signed(advance.to)).collect();
    let row = query.bind(shards).bind(froms).bind(tos).fetch_one(tx).await?;
    let stored = (rows::number(&row, 0)? as usize, rows::number(&row, 1)? as usize);
    if stored != expected {
        return Err(came_between());
    }
    Ok(())
}

/// [`store`] without raising any shard's place.
///
/// # Errors
/// As there.
pub async fn append(tx: &mut PgConnection, changes: &[Change]) -> Result<(), Trouble> {
    store(tx, changes, &[]).await
}

/// [`store`] of nothing but the shards' places.
///
/// # Errors
/// As there.
pub async fn advance(tx: &mut PgConnection, advances: &[Advance]) -> Result<(), Trouble> {
    store(tx, &[], advances).await
}

/// Forgets a tombstone, if it is still its record's last state. Its vector must be in the shard's floor before.
///
/// # Errors
/// What the database says.
pub async fn drop_record(tx: &mut PgConnection, tombstone: &Edition) -> Result<bool, Trouble> {
    let gone = sqlx::query("DELETE FROM records WHERE id = $1 AND head = $2 AND deleted_at IS NOT NULL")
        .bind(signed(tombstone.record))
        .bind(signed(tombstone.seq))
        .execute(tx)
        .await?;
    Ok(gone.rows_affected() > 0)
}

fn came_between() -> Trouble {
    Trouble::Again(Failure::new(Class::Busy, "a record or a shard has changed since it was read"))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// One array for each column.
#[derive(Default)]
struct Rows<'c> {
    records: Records<'c>,
    writes: Writes<'c>,
}

#[derive(Default)]
struct Records<'c> {
    shards: Vec<i32>,
    tenants: Vec<&'c str>,
    namespaces: Vec<&'c str>,
    partitions: Vec<&'c str>,
    keys: Vec<&'c str>,
    expected: Vec<i64>,
    heads: Vec<i64>,
    revisions: Vec<i64>,
    deleted: Vec<Option<Micros>>,
    expires: Vec<Option<Micros>>,
}

#[derive(Default)]
struct Writes<'c> {
    shards: Vec<i32>,
    seqs: Vec<i64>,
    /// The place of its record among the records, from 1 on.
    records: Vec<i32>,
    previous: Vec<i64>,
    revisions: Vec<i64>,
    times: Vec<Micros>,
    expires: Vec<Option<Micros>>,
    write_ids: Vec<Uuid>,
    blind: Vec<bool>,
    vectors: Vec<Vec<u8>>,
    invocations: Vec<std::borrow::Cow<'c, str>>,
    content_types: Vec<Option<std::borrow::Cow<'c, str>>>,
    values: Vec<Option<&'c [u8]>>,
}

impl<'c> Rows<'c> {
    fn of(changes: &'c [Change]) -> Self {
        let mut rows = Self::default();
        let mut places: HashMap<&Address, usize> = HashMap::new();
        for Change { address, edition, .. } in changes {
            let shard = rows::shard_number(address.shard());
            let place = *places.entry(address).or_insert_with(|| rows.records.add(shard, address, edition));
            rows.records.leave(place, edition);
            rows.writes.add(shard, place, edition);
        }
        rows
    }
}

impl<'c> Records<'c> {
    fn len(&self) -> usize {
        self.heads.len()
    }

    /// A record as its first write of these finds it.
    fn add(&mut self, shard: i32, address: &'c Address, first: &Edition) -> usize {
        self.shards.push(shard);
        self.tenants.push(address.tenant());
        self.namespaces.push(address.namespace());
        self.partitions.push(address.partition());
        self.keys.push(address.key());
        self.expected.push(signed(first.previous));
        self.heads.push(0);
        self.revisions.push(0);
        self.deleted.push(None);
        self.expires.push(None);
        self.heads.len() - 1
    }

    /// A record as its last write of these leaves it.
    fn leave(&mut self, place: usize, last: &Edition) {
        self.heads[place] = signed(last.seq);
        self.revisions[place] = signed(last.revision);
        self.deleted[place] = (!last.is_live()).then_some(last.writer.time);
        self.expires[place] = last.expires.filter(|_| last.is_live());
    }

    fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        'c: 'q,
    {
        query
            .bind(self.shards)
            .bind(self.tenants)
            .bind(self.namespaces)
            .bind(self.partitions)
            .bind(self.keys)
            .bind(self.expected)
            .bind(self.heads)
            .bind(self.revisions)
            .bind(self.deleted)
            .bind(self.expires)
    }
}

impl<'c> Writes<'c> {
    fn add(&mut self, shard: i32, record: usize, edition: &'c Edition) {
        self.shards.push(shard);
        self.seqs.push(signed(edition.seq));
        self.records.push(record as i32 + 1);
        self.previous.push(signed(edition.previous));
        self.revisions.push(signed(edition.revision));
        self.times.push(edition.writer.time);
        self.expires.push(edition.expires.filter(|_| edition.is_live()));
        self.write_ids.push(edition.writer.write_id);
        self.blind.push(edition.blind);
        self.vectors.push(edition.vector.to_bytes());
        self.invocations.push(rows::plain(&edition.writer.invocation_id));
        self.content_types.push(edition.value.as_ref().map(|value| rows::plain(&value.content_type)));
        self.values.push(edition.value.as_ref().map(|value| &*value.data));
    }

    fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        'c: 'q,
    {
        query
            .bind(self.shards)
            .bind(self.seqs)
            .bind(self.records)
            .bind(self.previous)
            .bind(self.revisions)
            .bind(self.times)
            .bind(self.expires)
            .bind(self.write_ids)
            .bind(self.blind)
            .bind(self.vectors)
            .bind(self.invocations)
            .bind(self.content_types)
            .bind(self.values)
    }
}
