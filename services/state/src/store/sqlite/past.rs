//! Reading what records were: histories, changes, and what expires.

use std::sync::{Arc, LazyLock};

use rusqlite::{OptionalExtension as _, Transaction};

use super::rows::{self, number, signed};
use crate::{
    domain::{Address, Edition, Micros, Seq, Vector},
    store::{Changes, ChangesQuery, HistoryQuery},
};

const HEAD: &str = "SELECT n.seq FROM records r CROSS JOIN heads n ON n.record = r.id \
                    WHERE r.tenant = ?1 AND r.namespace = ?2 AND r.partition = ?3 AND r.key = ?4";

static STEP_BACK: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM history h WHERE h.seq = ?1", rows::EDITION));

/// The rows of a shard's log stand among those of all: a partition's are told apart by their record.
static CHANGES: LazyLock<String> = LazyLock::new(|| {
    let columns = rows::EDITION;
    format!(
        "SELECT {columns}, r.key, r.id IS NOT NULL AND r.tenant = ?3 AND r.namespace = ?4 AND r.partition = ?5 \
         FROM history h LEFT JOIN records r ON r.id = h.record WHERE h.seq > ?1 ORDER BY h.seq LIMIT ?2"
    )
});

fn head(tx: &Transaction<'_>, at: &Address) -> rusqlite::Result<Seq> {
    let place = (at.tenant(), at.namespace(), at.partition(), at.key());
    Ok(tx.prepare_cached(HEAD)?.query_row(place, |row| number(row, 0)).optional()?.unwrap_or(0))
}

/// Walks back from a place, as far as the history is kept.
fn walk_back(tx: &Transaction<'_>, mut seq: Seq, mut goes_on: impl FnMut(Edition) -> bool) -> rusqlite::Result<()> {
    let mut step_back = tx.prepare_cached(&STEP_BACK)?;
    while seq != 0 {
        let Some(edition) = step_back.query_row([signed(seq)], rows::edition).optional()? else { break };
        seq = edition.previous;
        if !goes_on(edition) {
            break;
        }
    }
    Ok(())
}

pub(super) fn history(tx: &Transaction<'_>, query: &HistoryQuery) -> rusqlite::Result<Vec<Edition>> {
    let (mut editions, mut bytes) = (Vec::new(), 0);
    let from = head(tx, &query.address)?;
    walk_back(tx, from, |edition| {
        if query.before.is_none_or(|before| edition.seq < before) {
            bytes += edition.bytes();
            editions.push(edition);
        }
        editions.len() < query.editions && bytes < query.bytes
    })?;
    Ok(editions)
}

pub(super) fn edition_at(tx: &Transaction<'_>, at: &Address, vector: &Vector) -> rusqlite::Result<Option<Edition>> {
    let mut found = None;
    let from = head(tx, at)?;
    walk_back(tx, from, |edition| {
        if edition.vector == *vector {
            found = Some(edition);
        }
        found.is_none()
    })?;
    Ok(found)
}

pub(super) fn changes(tx: &Transaction<'_>, query: &ChangesQuery) -> rusqlite::Result<Changes> {
    let newest = tx.query_row("SELECT coalesce(max(seq), 0) FROM history", [], |row| number(row, 0))?;
    let (swept, flushes) =
        tx.query_row("SELECT swept, flushes FROM decider", [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    let Some(after) = query.after else {
        return Ok(Changes::Here { changes: Vec::new(), until: newest, more: false, flushes });
    };
    if after < swept {
        return Ok(Changes::Cut);
    }
    let at = &query.partition;
    let (mut changes, mut until, mut bytes) = (Vec::new(), after, 0);
    let mut find = tx.prepare_cached(&CHANGES)?;
    let mut found = find.query((signed(after), rows::count(query.rows), at.tenant(), at.namespace(), at.name()))?;
    while let Some(row) = found.next()? {
        if bytes >= query.bytes {
            break;
        }
        until = number(row, 5)?;
        if row.get(13)? {
            let edition = rows::edition(row)?;
            bytes += edition.bytes();
            changes.push((at.record(row.get_ref(12)?.as_str()?), Arc::new(edition)));
        }
    }
    Ok(Changes::Here { changes, until, more: until < newest, flushes })
}

pub(super) fn expired(tx: &Transaction<'_>, now: Micros, most: usize) -> rusqlite::Result<Vec<(Address, Vector)>> {
    tx.prepare_cached(include_str!("expired.sql"))?
        .query_map((now, rows::count(most)), |row| Ok((rows::address(row)?, rows::vector(row, 4)?)))?
        .collect()
}
