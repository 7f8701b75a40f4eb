//! Granting leases, and moving them between streams.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::super::{Adopt, AdoptFrom, Claim, Claimed, KeptLease};
use super::rows::{self, LiveRow};
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::record::Live;
use crate::domain::schedule::Place;

/// Put together once: every transition reads by it.
static LIVE_BY_ID: LazyLock<String> = LazyLock::new(|| format!("SELECT {} FROM live WHERE id = ?1", rows::LIVE));
static INPUT_BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {}, payload FROM invocations WHERE seq = ?1", rows::ACCEPTED));

/// Where an invocation stands that has not ended.
pub(super) fn live(tx: &Transaction<'_>, id: Uuid) -> rusqlite::Result<Option<LiveRow>> {
    tx.prepare_cached(&LIVE_BY_ID)?.query_row([id.as_bytes()], |row| rows::live(row, 0)).optional()
}

pub(super) fn claim(tx: &Transaction<'_>, claim: &Claim) -> rusqlite::Result<Option<Claimed>> {
    let Some(LiveRow { seq, place, live }) = live(tx, claim.id)? else { return Ok(None) };
    let session_fence = match place {
        Some(place) => match head_fence(tx, place)? {
            Some(fence) => fence,
            None => return Ok(None),
        },
        None => 0,
    };
    let Some(live) = live.granted(&claim.grant, session_fence, claim.now) else { return Ok(None) };
    rows::update_live(tx, claim.id, &live)?;
    if let Some(place) = place {
        tx.prepare_cached("UPDATE sessions SET fence = ?2 WHERE session = ?1")?
            .execute(params![place.session, live.fence as i64])?;
    }
    let tries = if live.tries > 0 { rows::tries(tx, seq)? } else { Vec::new() };
    let input = claim.with_input.then(|| input(tx, seq)).transpose()?;
    Ok(Some(Claimed { live, input, tries }))
}

pub(super) fn adopt(tx: &Transaction<'_>, adopt: &Adopt) -> rusqlite::Result<Option<KeptLease>> {
    let Some(LiveRow { seq, live, .. }) = live(tx, adopt.id)? else { return Ok(None) };
    let Some(stream) = live.lease().filter(|held| held.id == adopt.lease).map(|held| held.stream) else {
        return Ok(None);
    };
    let from = match adopt.from {
        AdoptFrom::Stream(from) => from,
        // One process keeps all leases of this store.
        AdoptFrom::Keeper(_) | AdoptFrom::Anyone => stream,
    };
    let Ok(adopted) = live.adopted(adopt.lease, from, adopt.to.or(stream)) else { return Ok(None) };
    rows::update_live(tx, adopt.id, &adopted)?;
    kept(tx, seq, adopt.id, &adopted)
}

fn kept(tx: &Transaction<'_>, seq: i64, id: Uuid, live: &Live) -> rusqlite::Result<Option<KeptLease>> {
    let Some(lease) = live.lease().cloned() else { return Ok(None) };
    tx.prepare_cached("SELECT tenant, agent, session FROM invocations WHERE seq = ?1")?
        .query_row([seq], |row| {
            let (tenant, agent, session) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(KeptLease { id, tenant, agent, session, attempt: live.attempt, lease })
        })
        .optional()
}

/// The session's last fence, when nothing before this place is left.
fn head_fence(tx: &Transaction<'_>, place: Place) -> rusqlite::Result<Option<u64>> {
    tx.prepare_cached(
        "SELECT fence FROM sessions WHERE session = ?1
         AND NOT EXISTS (SELECT 1 FROM live WHERE session = ?1 AND session_order < ?2)",
    )?
    .query_row(params![place.session, place.order], |row| rows::number(row, 0))
    .optional()
}

fn input(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<(Arc<Accepted>, Payload)> {
    tx.prepare_cached(&INPUT_BY_SEQ)?.query_row([seq], |row| {
        let accepted = rows::accepted(row, 0)?;
        let data = Bytes::from(row.get::<_, Vec<u8>>(rows::ACCEPTED_COLUMNS)?);
        let content_type = row.get(rows::ACCEPTED_COLUMNS - 1)?;
        Ok((Arc::new(accepted), Payload { data, content_type }))
    })
}
