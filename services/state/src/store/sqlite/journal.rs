//! The writing side: one connection, one transaction for each flush.

use std::collections::BTreeMap;

use holdfast_storage::{Class, Database, Failure};
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior};

use super::rows::{self, number, shard_number, signed};
use crate::{
    domain::{EpochId, RecordId, Seq, ShardId},
    store::{Change, FenceChange, Flush, Journal, Retention, Step, Swept, Unstored},
};

pub(super) struct Sqlite {
    database: Database,
    /// Absent after an error that spoils it, until the next use opens another.
    connection: Option<Connection>,
    epoch: EpochId,
}

impl Sqlite {
    pub(super) fn new(database: Database, connection: Connection, epoch: EpochId) -> Self {
        Self { database, connection: Some(connection), epoch }
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        Ok(match &mut self.connection {
            Some(connection) => connection,
            gone => gone.insert(self.database.writer()?),
        })
    }

    fn within<R>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<R, Failure>) -> Result<R, Unstored> {
        let done = self.attempt(work);
        if let Err(unstored) = &done
            && matches!(unstored.failure.class(), Class::Io | Class::Corrupt | Class::ReadOnly)
        {
            self.connection = None;
        }
        done
    }

    fn attempt<R>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<R, Failure>) -> Result<R, Unstored> {
        let certain = |failure| Unstored { failure, in_doubt: false };
        let connection = self.connection().map_err(certain)?;
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| certain(error.into()))?;
        let value = work(&tx).map_err(certain)?;
        tx.commit().map_err(|error| {
            let failure = Failure::from(error);
            // A disk that fails in the middle of a commit may have kept it.
            Unstored { in_doubt: failure.class() == Class::Io, failure }
        })?;
        Ok(value)
    }
}

impl Journal for Sqlite {
    fn commit(&mut self, flushes: u64, flush: &Flush) -> Result<(), Unstored> {
        let epoch = self.epoch;
        self.within(|tx| {
            step_on(tx, epoch, flushes)?;
            store_steps(tx, flush)?;
            store_fences(tx, &flush.fences)?;
            Ok(())
        })
    }

    fn flushes(&mut self) -> Result<u64, Failure> {
        Ok(self.connection()?.query_row("SELECT flushes FROM decider", [], |row| number(row, 0))?)
    }

    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Result<Swept, Failure> {
        self.within(|tx| {
            let last: Option<i64> = tx
                .prepare_cached(include_str!("sweep_end.sql"))?
                .query_row((signed(after), rows::count(rows)), |row| row.get(0))?;
            let Some(last) = last else { return Ok(Swept::default()) };
            let removed = tx.prepare_cached(include_str!("sweep.sql"))?.execute((
                signed(after),
                last,
                keep.horizon,
                signed(keep.editions),
            ))?;
            if removed > 0 {
                tx.prepare_cached("UPDATE decider SET swept = max(swept, ?1)")?.execute([last])?;
            }
            Ok(Swept { next: last.cast_unsigned(), removed })
        })
        .map_err(|unstored| unstored.failure)
    }

    fn sweep_fences(&mut self, floor: u64) -> Result<(), Failure> {
        self.within(|tx| {
            tx.execute("UPDATE decider SET fence_floor = max(fence_floor, ?1)", [signed(floor)])?;
            tx.execute("DELETE FROM fences WHERE fence < (SELECT fence_floor FROM decider)", [])?;
            Ok(())
        })
        .map_err(|unstored| unstored.failure)
    }

    fn fold_epochs(&mut self, epochs: &[EpochId]) -> Result<(), Failure> {
        self.within(|tx| {
            let mut fold =
                tx.prepare_cached("UPDATE epochs SET state = 'folded' WHERE epoch = ?1 AND state = 'lost'")?;
            epochs.iter().try_for_each(|epoch| fold.execute([signed(epoch.0)]).map(drop))?;
            Ok(())
        })
        .map_err(|unstored| unstored.failure)
    }
}

/// Only the decider of this epoch, and only from its own last flush.
fn step_on(tx: &Transaction<'_>, epoch: EpochId, flushes: u64) -> Result<(), Failure> {
    let found = tx
        .prepare_cached("UPDATE decider SET flushes = flushes + 1 WHERE epoch = ?1 AND flushes = ?2")?
        .execute((signed(epoch.0), signed(flushes)))?;
    match found {
        1 => Ok(()),
        _ => Err(Failure::new(Class::Corrupt, "somebody else has written to this store since: restart the service")),
    }
}

fn store_steps(tx: &Transaction<'_>, flush: &Flush) -> rusqlite::Result<()> {
    let mut changes: Vec<&Change> = Vec::with_capacity(flush.steps.len());
    for (shard, step) in &flush.steps {
        match step.as_ref() {
            Step::Write { changes: written, marks } => {
                changes.extend(written);
                if let Some(bound) = marks {
                    mark(tx, *shard, (1, signed(bound.writes), signed(bound.bytes)))?;
                }
            }
            Step::Drop { edition, floor, .. } => {
                tx.prepare_cached("UPDATE shards SET floor = ?2 WHERE shard = ?1")?
                    .execute((shard_number(*shard), floor.to_bytes()))?;
                tx.prepare_cached("DELETE FROM records WHERE id = ?1")?.execute([signed(edition.record)])?;
                tx.prepare_cached("DELETE FROM heads WHERE record = ?1")?.execute([signed(edition.record)])?;
            }
            Step::Clean => mark(tx, *shard, (0, 0, 0))?,
            Step::Barrier => {}
        }
    }
    // The steps stand by shards. In the order of their places the history is only ever appended to, which neither searches
    // nor splits a page, and leaves full pages behind.
    changes.sort_unstable_by_key(|change| change.edition.seq);
    append(tx, &changes)?;
    store_records(tx, &changes)
}

fn append(tx: &Transaction<'_>, changes: &[&Change]) -> rusqlite::Result<()> {
    let mut append = tx.prepare_cached(include_str!("append.sql"))?;
    changes.iter().try_for_each(|change| append_change(&mut append, change))
}

fn append_change(append: &mut CachedStatement<'_>, change: &Change) -> rusqlite::Result<()> {
    let edition = &change.edition;
    let (content_type, value) = match &edition.value {
        Some(value) => (Some(&*value.content_type), Some(&*value.data)),
        None => (None, None),
    };
    append.execute((
        signed(edition.seq),
        signed(edition.record),
        signed(edition.previous),
        signed(edition.revision),
        edition.vector.to_bytes(),
        edition.writer.time,
        edition.writer.write_id.as_bytes(),
        &*edition.writer.invocation_id,
        edition.blind,
        content_type,
        value,
        edition.expires,
    ))?;
    Ok(())
}

/// Each write keeps its row in the history; of a record only the last state is written. In the order of their numbers, so that
/// rows that share a page come together.
fn store_records(tx: &Transaction<'_>, changes: &[&Change]) -> rusqlite::Result<()> {
    let mut newest: BTreeMap<RecordId, (bool, &Change)> = BTreeMap::new();
    for change in changes {
        newest
            .entry(change.edition.record)
            .and_modify(|(_, newest)| *newest = change)
            .or_insert((change.creates, change));
    }
    let mut make = tx.prepare_cached(include_str!("make_record.sql"))?;
    let mut make_head = tx.prepare_cached(include_str!("make_head.sql"))?;
    let mut change_head = tx.prepare_cached(include_str!("change_head.sql"))?;
    for (creates, Change { address, edition, .. }) in newest.into_values() {
        let (id, seq, revision) = (signed(edition.record), signed(edition.seq), signed(edition.revision));
        let head = (id, seq, revision, !edition.is_live(), edition.expires);
        if creates {
            make.execute((id, address.tenant(), address.namespace(), address.partition(), address.key()))?;
            make_head.execute(head)?;
        } else {
            change_head.execute(head)?;
        }
    }
    Ok(())
}

fn mark(tx: &Transaction<'_>, shard: ShardId, (dirty, writes, bytes): (i64, i64, i64)) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE shards SET dirty = ?2, bound_writes = ?3, bound_bytes = ?4 WHERE shard = ?1")?
        .execute((shard_number(shard), dirty, writes, bytes))?;
    Ok(())
}

fn store_fences(tx: &Transaction<'_>, fences: &[FenceChange]) -> rusqlite::Result<()> {
    let mut store = tx.prepare_cached(include_str!("fence.sql"))?;
    for FenceChange { scope, fence } in fences {
        store.execute((&*scope.tenant, &*scope.name, signed(fence.number), fence.lease.as_deref()))?;
    }
    Ok(())
}
