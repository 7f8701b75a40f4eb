//! What claims and adoptions read.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::super::KeptLease;
use super::super::apply::{At, Row};
use super::hot::Hot;
use super::rows;
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::record::Live;
use crate::domain::schedule::Place;

/// Put together once.
static INPUT_BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {}, payload FROM invocations WHERE seq = ?1", rows::ACCEPTED));

/// Where an invocation stands that has not ended.
pub(super) fn live(select: &mut Hot<'_>, id: Uuid) -> rusqlite::Result<Option<Row>> {
    select.get()?.query_row([id.as_bytes()], |row| rows::row(row, id)).optional()
}

/// A lease and whose it is.
pub(super) fn kept(tx: &Transaction<'_>, at: &At, live: &Live) -> rusqlite::Result<Option<KeptLease>> {
    let Some(lease) = live.lease().cloned() else { return Ok(None) };
    tx.prepare_cached("SELECT tenant, agent, session FROM invocations WHERE seq = ?1")?
        .query_row([at.seq], |row| {
            let (tenant, agent, session) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(KeptLease { id: at.id, tenant, agent, session, attempt: live.attempt, lease })
        })
        .optional()
}

/// The session's last fence, when nothing before this place is left.
pub(super) fn head_fence(tx: &Transaction<'_>, place: Place) -> rusqlite::Result<Option<u64>> {
    tx.prepare_cached(
        "SELECT fence FROM sessions WHERE session = ?1
         AND NOT EXISTS (SELECT 1 FROM live WHERE session = ?1 AND session_order < ?2)",
    )?
    .query_row(params![place.session, place.order], |row| rows::number(row, 0))
    .optional()
}

/// What was asked.
pub(super) fn input(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<(Arc<Accepted>, Payload)> {
    tx.prepare_cached(&INPUT_BY_SEQ)?.query_row([seq], |row| {
        let accepted = rows::accepted(row, 0)?;
        let data = Bytes::from(row.get::<_, Vec<u8>>(rows::ACCEPTED_COLUMNS)?);
        let content_type = row.get(rows::ACCEPTED_COLUMNS - 1)?;
        Ok((Arc::new(accepted), Payload { data, content_type }))
    })
}
