//! Idempotency keys: whoever inserts a key first has it, at whatever process; the others read who that was.

use std::collections::{BTreeMap, HashSet};

use holdfast_storage::Trouble;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::super::super::Command;
use super::super::rows::unreadable;
use super::super::set::{Key, Keyed, Set};

pub(super) async fn load(tx: &mut PgConnection, set: &mut Set, commands: &[Command]) -> Result<(), Trouble> {
    // In order: processes that insert the same keys wait for each other in the same order.
    let mut asked: BTreeMap<Key, Keyed> = BTreeMap::new();
    for command in commands {
        let Command::Accept(accept) = command else { continue };
        let accepted = &accept.accepted;
        if let (Some(key), Some(digest)) = (&accepted.idempotency_key, accept.digest) {
            let key = Key { tenant: accepted.tenant.clone(), agent: accepted.agent.clone(), key: key.clone() };
            asked.entry(key).or_insert(Keyed { id: accepted.id, digest, over: None });
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let inserted = insert(tx, &asked).await?;
    let (taken, lost): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(_, keyed)| inserted.contains(&keyed.id));
    set.keys.extend(taken);
    if !lost.is_empty() {
        winners(tx, set, lost.into_iter().map(|(key, _)| key).collect()).await?;
    }
    Ok(())
}

async fn insert(tx: &mut PgConnection, asked: &BTreeMap<Key, Keyed>) -> Result<HashSet<Uuid>, Trouble> {
    let (tenants, agents, keys) = columns(asked.keys());
    let ids: Vec<Uuid> = asked.values().map(|keyed| keyed.id).collect();
    let digests: Vec<&[u8]> = asked.values().map(|keyed| &keyed.digest[..]).collect();
    let found = sqlx::query(include_str!("../insert_keys.sql"))
        .bind(tenants)
        .bind(agents)
        .bind(keys)
        .bind(ids)
        .bind(digests)
        .fetch_all(&mut *tx)
        .await?;
    Ok(found.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
}

/// A statement of its own sees who has them: the insert has waited until that one was committed. And one after the lock
/// sees how their invocations stand: the lock may have waited for somebody who gave a key to a new one, of which what was
/// there when the statement began knows nothing.
async fn winners(tx: &mut PgConnection, set: &mut Set, lost: Vec<Key>) -> Result<(), Trouble> {
    let (tenants, agents, keys) = columns(lost.iter());
    let lock = sqlx::query(include_str!("../lock_keys.sql")).bind(&tenants).bind(&agents).bind(&keys);
    lock.execute(&mut *tx).await?;
    let found = sqlx::query(super::READ_KEYS).bind(tenants).bind(agents).bind(keys).fetch_all(&mut *tx).await?;
    for row in found {
        let digest: &[u8] = row.try_get(4)?;
        let keyed =
            Keyed { id: row.try_get(3)?, digest: digest.try_into().map_err(unreadable)?, over: row.try_get(5)? };
        let (tenant, agent) = (row.try_get::<&str, _>(0)?.into(), row.try_get::<&str, _>(1)?.into());
        set.keys.insert(Key { tenant, agent, key: row.try_get(2)? }, keyed);
    }
    Ok(())
}

fn columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        columns.0.push(&*key.tenant);
        columns.1.push(&*key.agent);
        columns.2.push(&*key.key);
    }
    columns
}
