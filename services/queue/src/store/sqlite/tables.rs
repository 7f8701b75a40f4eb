//! The operations of decisions, as statements. The tables are the state: nothing outlives its transaction in memory.
//!
//! Where a new invocation stands is stored once its transaction's decisions are made. One that a waiting worker gets with
//! its acceptance is then one row written once, instead of a row written, read and written again.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Error, Transaction, params};
use uuid::Uuid;

use super::super::apply::{At, Created, Revived, Row, Tables};
use super::super::{Accept, Candidate, Discard, KeptLease, ReadyKey, Redrive, Tell};
use super::hot::Statements;
use super::{accept, claim, redrive, rows, settle, sweep, tell};
use crate::domain::invocation::{Accepted, Payload, Usage};
use crate::domain::record::{Ended, Live, PastEnd, Try};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// The tables, within one transaction.
pub(super) struct Working<'t> {
    tx: &'t Transaction<'t>,
    hot: Statements<'t>,
    /// Made in this transaction and not stored yet, in the order of their ids. None has a place in a session: places are
    /// asked for by statements.
    fresh: BTreeMap<Uuid, Row>,
    /// The oldest acceptance among those under an idempotency key.
    keyed_since: Micros,
}

impl<'t> Working<'t> {
    pub(super) fn new(tx: &'t Transaction<'t>) -> Self {
        Self { tx, hot: Statements::new(tx), fresh: BTreeMap::new(), keyed_since: Micros::MAX }
    }

    /// Stores what is left to be stored.
    pub(super) fn store(&mut self) -> rusqlite::Result<()> {
        self.keyed_since = Micros::MAX;
        let insert = &mut self.hot.insert_live;
        std::mem::take(&mut self.fresh).values().try_for_each(|row| rows::insert_live(insert, row))
    }

    fn stands(&mut self, at: &At, live: &Live) -> rusqlite::Result<()> {
        match self.fresh.get_mut(&at.id) {
            Some(row) => row.live = live.clone(),
            None => rows::update_live(self.tx, at.id, live)?,
        }
        Ok(())
    }
}

impl Tables for Working<'_> {
    type Error = Error;

    fn take_key(
        &mut self,
        accepted: &Accepted,
        key: &str,
        digest: &[u8; 32],
        since: Micros,
    ) -> rusqlite::Result<Option<(Uuid, bool)>> {
        if since > self.keyed_since {
            // The statement looks where the key's first invocation stands.
            self.store()?;
        }
        accept::take_key(self.tx, accepted, key, digest, since)
    }

    fn create(&mut self, accept: &Accept) -> rusqlite::Result<Created> {
        let row = accept::create(self.tx, &mut self.hot.insert_invocation, accept)?;
        let At { seq, place, id, .. } = row.at;
        if place.is_some() {
            rows::insert_live(&mut self.hot.insert_live, &row)?;
        } else {
            if accept.accepted.idempotency_key.is_some() {
                self.keyed_since = self.keyed_since.min(accept.accepted.at);
            }
            self.fresh.insert(id, row);
        }
        Ok(Created { seq, place, ready: None })
    }

    fn live(&mut self, id: Uuid) -> rusqlite::Result<Option<Row>> {
        match self.fresh.get(&id) {
            Some(row) => Ok(Some(row.clone())),
            None => claim::live(&mut self.hot.select_live, id),
        }
    }

    fn head_fence(&mut self, place: Place) -> rusqlite::Result<Option<u64>> {
        claim::head_fence(self.tx, place)
    }

    fn grant(&mut self, at: &At, live: &Live) -> rusqlite::Result<()> {
        self.stands(at, live)?;
        if let Some(place) = at.place {
            self.tx
                .prepare_cached("UPDATE sessions SET fence = ?2 WHERE session = ?1")?
                .execute(params![place.session, live.fence as i64])?;
        }
        Ok(())
    }

    fn forget_ready(&mut self, _key: ReadyKey) -> rusqlite::Result<()> {
        // What is ready stands in its process's memory.
        Ok(())
    }

    fn input(&mut self, at: &At) -> rusqlite::Result<(Arc<Accepted>, Payload)> {
        claim::input(self.tx, at.seq)
    }

    fn retry(&mut self, at: &At) -> rusqlite::Result<RetryPolicy> {
        settle::retry(self.tx, at.seq)
    }

    fn tries(&mut self, _id: Uuid, seq: i64) -> rusqlite::Result<Vec<Try>> {
        rows::tries(self.tx, seq)
    }

    fn past_ends(&mut self, _id: Uuid, seq: i64) -> rusqlite::Result<Vec<PastEnd>> {
        redrive::past_ends(self.tx, seq)
    }

    fn releases(&mut self, at: &At) -> rusqlite::Result<usize> {
        settle::releases(self.tx, at.seq)
    }

    fn belongs_to(&mut self, id: Uuid, tenant: &str) -> rusqlite::Result<bool> {
        settle::belongs_to(self.tx, id, tenant)
    }

    fn ended(&mut self, id: Uuid) -> rusqlite::Result<Option<(i64, Ended)>> {
        settle::ended(self.tx, id)
    }

    fn requeue(&mut self, at: &At, live: &Live, tried: &Try) -> rusqlite::Result<Vec<Candidate>> {
        self.stands(at, live)?;
        settle::insert_try(self.tx, at.seq, tried)?;
        Ok(Vec::new())
    }

    fn end(
        &mut self,
        at: &At,
        ended: &Ended,
        tried: Option<&Try>,
        raise: Option<u64>,
    ) -> rusqlite::Result<Vec<Candidate>> {
        if self.fresh.remove(&at.id).is_none() {
            self.hot.delete_live.get()?.execute([at.id.as_bytes()])?;
        }
        settle::end(self.tx, &mut self.hot.insert_ended, at, ended, tried, raise)?;
        Ok(Vec::new())
    }

    fn used(&mut self, _id: Uuid, seq: i64, usage: Usage) -> rusqlite::Result<()> {
        settle::used(self.tx, seq, usage)
    }

    fn adopt(&mut self, at: &At, live: &Live) -> rusqlite::Result<Option<KeptLease>> {
        self.stands(at, live)?;
        claim::kept(self.tx, at, live)
    }

    fn tell(&mut self, at: &At, live: &Live, told: &Tell) -> rusqlite::Result<()> {
        match self.fresh.get_mut(&at.id) {
            Some(row) => row.live = live.clone(),
            None => rows::update_events(self.tx, at.id, live.events)?,
        }
        tell::store(self.tx, at, live, told)
    }

    fn forget_raises(&mut self, raises: &[i64]) -> rusqlite::Result<()> {
        settle::forget_raises(self.tx, raises)
    }

    fn promote(&mut self, _ids: &[Uuid]) -> rusqlite::Result<Vec<Candidate>> {
        // Delayed ones wait in memory: there is nothing to record.
        Ok(Vec::new())
    }

    fn revive(&mut self, redrive: &Redrive, seq: i64, ended: &Ended, live: &Live) -> rusqlite::Result<Revived> {
        redrive::revive(self.tx, &mut self.hot.insert_live, redrive, seq, ended, live)
    }

    fn discard(&mut self, discard: &Discard) -> rusqlite::Result<usize> {
        sweep::discard(self.tx, discard)
    }
}

#[cfg(test)]
mod tests;
