//! What a decision is made by: records as they stand, and the blind writes that were made before.

use std::sync::LazyLock;

use holdfast_storage::Trouble;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::domain::{Address, Edition, Note};
use crate::store::postgres::deciding::Deciding;
use crate::store::postgres::rows::{self, EDITION, NOTE};

pub(in crate::store::postgres) static LOAD: LazyLock<String> =
    LazyLock::new(|| include_str!("load.sql").replace("{edition}", EDITION));
pub(in crate::store::postgres) static LOAD_IF: LazyLock<String> =
    LazyLock::new(|| include_str!("load_if.sql").replace("{edition}", EDITION));
pub(in crate::store::postgres) static BLIND_WRITES: LazyLock<String> =
    LazyLock::new(|| include_str!("blind_writes.sql").replace("{note}", NOTE));

/// The newest stored editions, tombstones included; `None` where there is none.
///
/// # Errors
/// What the database says.
pub async fn load(connection: &mut PgConnection, addresses: &[Address]) -> Result<Vec<Option<Edition>>, Trouble> {
    let found = Names::of(addresses).bind(sqlx::query(AssertSqlSafe(LOAD.as_str()))).fetch_all(connection).await?;
    Ok(placed(addresses.len(), &found, rows::found)?)
}

/// The same without a lock, as long as this knowledge of who decides holds for each of their shards: records and knowledge are
/// of one moment. `None`: it does not hold any more.
///
/// # Errors
/// What the database says.
pub async fn load_if(
    connection: &mut PgConnection,
    known: &Deciding,
    addresses: &[Address],
) -> Result<Option<Vec<Option<Edition>>>, Trouble> {
    let found = Names::of(addresses)
        .bind(sqlx::query(AssertSqlSafe(LOAD_IF.as_str())))
        .bind(rows::signed(known.epoch.0))
        .bind(known.who.decides().name())
        .bind(rows::signed(known.folds))
        .fetch_all(connection)
        .await?;
    if found.len() < addresses.len() {
        return Ok(None);
    }
    Ok(Some(placed(addresses.len(), &found, rows::found)?))
}

/// The blind overwrites of records with these ids, as far as the history is kept.
///
/// # Errors
/// What the database says.
pub async fn blind_writes(
    connection: &mut PgConnection,
    asked: &[(Address, Uuid)],
) -> Result<Vec<Option<Note>>, Trouble> {
    let ids: Vec<_> = asked.iter().map(|(_, id)| *id).collect();
    let names = Names::of(asked.iter().map(|(address, _)| address));
    let query = names.bind(sqlx::query(AssertSqlSafe(BLIND_WRITES.as_str()))).bind(ids);
    let found = query.fetch_all(connection).await?;
    Ok(placed(asked.len(), &found, |row, at| rows::note(row, at).map(Some))?)
}

/// Answers in the order of what was asked; its number, from 1 on, is in the first column. What has no row has the default.
fn placed<A: Default + Clone>(
    asked: usize,
    found: &[PgRow],
    read: impl Fn(&PgRow, usize) -> sqlx::Result<A>,
) -> sqlx::Result<Vec<A>> {
    let mut answers = vec![A::default(); asked];
    for row in found {
        let place = rows::number(row, 0)? as usize;
        answers[place - 1] = read(row, 1)?;
    }
    Ok(answers)
}

/// The parts of addresses, an array each.
struct Names<'a> {
    shards: Vec<i32>,
    tenants: Vec<&'a str>,
    namespaces: Vec<&'a str>,
    partitions: Vec<&'a str>,
    keys: Vec<&'a str>,
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl<'a> Names<'a> {
    fn of(addresses: impl IntoIterator<Item = &'a Address>) -> Self {
        let empty = Self {
            shards: Vec::new(),
            tenants: Vec::new(),
            namespaces: Vec::new(),
            partitions: Vec::new(),
            keys: Vec::new(),
        };
        addresses.into_iter().fold(empty, |mut names, address| {
            names.shards.push(rows::shard_number(address.shard()));
            names.tenants.push(address.tenant());
            names.namespaces.push(address.namespace());
            names.partitions.push(address.partition());
            names.keys.push(address.key());
            names
        })
    }

    fn bind<'q>(self, query: Query<'q>) -> Query<'q>
    where
        'a: 'q,
    {
        query.bind(self.shards).bind(self.tenants).bind(self.namespaces).bind(self.partitions).bind(self.keys)
    }
}
