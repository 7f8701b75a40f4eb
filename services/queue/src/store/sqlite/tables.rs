//! The operations of decisions, as statements. The tables are the state: nothing is kept in memory.

use std::sync::Arc;

use rusqlite::{Error, Transaction, params};
use uuid::Uuid;

use super::super::apply::{At, Created, Revived, Row, Tables};
use super::super::{Accept, Candidate, Discard, KeptLease, ReadyKey, Redrive, Tell};
use super::{accept, claim, redrive, rows, settle, sweep, tell};
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::record::{Ended, Live, PastEnd, Try};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

impl Tables for &Transaction<'_> {
    type Error = Error;

    fn take_key(
        &mut self,
        accepted: &Accepted,
        key: &str,
        digest: &[u8; 32],
        since: Micros,
    ) -> rusqlite::Result<Option<(Uuid, bool)>> {
        accept::take_key(self, accepted, key, digest, since)
    }

    fn create(&mut self, accept: &Accept) -> rusqlite::Result<Created> {
        accept::create(self, accept)
    }

    fn live(&mut self, id: Uuid) -> rusqlite::Result<Option<Row>> {
        claim::live(self, id)
    }

    fn head_fence(&mut self, place: Place) -> rusqlite::Result<Option<u64>> {
        claim::head_fence(self, place)
    }

    fn grant(&mut self, at: &At, live: &Live) -> rusqlite::Result<()> {
        rows::update_live(self, at.id, live)?;
        if let Some(place) = at.place {
            self.prepare_cached("UPDATE sessions SET fence = ?2 WHERE session = ?1")?
                .execute(params![place.session, live.fence as i64])?;
        }
        Ok(())
    }

    fn forget_ready(&mut self, _key: ReadyKey) -> rusqlite::Result<()> {
        // What is ready stands in its process's memory.
        Ok(())
    }

    fn input(&mut self, at: &At) -> rusqlite::Result<(Arc<Accepted>, Payload)> {
        claim::input(self, at.seq)
    }

    fn retry(&mut self, at: &At) -> rusqlite::Result<RetryPolicy> {
        settle::retry(self, at.seq)
    }

    fn tries(&mut self, _id: Uuid, seq: i64) -> rusqlite::Result<Vec<Try>> {
        rows::tries(self, seq)
    }

    fn past_ends(&mut self, _id: Uuid, seq: i64) -> rusqlite::Result<Vec<PastEnd>> {
        redrive::past_ends(self, seq)
    }

    fn releases(&mut self, at: &At) -> rusqlite::Result<usize> {
        settle::releases(self, at.seq)
    }

    fn belongs_to(&mut self, id: Uuid, tenant: &str) -> rusqlite::Result<bool> {
        settle::belongs_to(self, id, tenant)
    }

    fn ended(&mut self, id: Uuid) -> rusqlite::Result<Option<(i64, Ended)>> {
        settle::ended(self, id)
    }

    fn requeue(&mut self, at: &At, live: &Live, tried: &Try) -> rusqlite::Result<Vec<Candidate>> {
        rows::update_live(self, at.id, live)?;
        settle::insert_try(self, at.seq, tried)?;
        Ok(Vec::new())
    }

    fn end(
        &mut self,
        at: &At,
        ended: &Ended,
        tried: Option<&Try>,
        raise: Option<u64>,
    ) -> rusqlite::Result<Vec<Candidate>> {
        settle::end(self, at, ended, tried, raise)?;
        Ok(Vec::new())
    }

    fn adopt(&mut self, at: &At, live: &Live) -> rusqlite::Result<Option<KeptLease>> {
        rows::update_live(self, at.id, live)?;
        claim::kept(self, at, live)
    }

    fn tell(&mut self, at: &At, live: &Live, told: &Tell) -> rusqlite::Result<()> {
        tell::store(self, at, live, told)
    }

    fn forget_raises(&mut self, raises: &[i64]) -> rusqlite::Result<()> {
        settle::forget_raises(self, raises)
    }

    fn promote(&mut self, _ids: &[Uuid]) -> rusqlite::Result<Vec<Candidate>> {
        // Delayed ones wait in memory: there is nothing to record.
        Ok(Vec::new())
    }

    fn revive(&mut self, redrive: &Redrive, seq: i64, ended: &Ended, live: &Live) -> rusqlite::Result<Revived> {
        redrive::revive(self, redrive, seq, ended, live)
    }

    fn discard(&mut self, discard: &Discard) -> rusqlite::Result<usize> {
        sweep::discard(self, discard)
    }
}
