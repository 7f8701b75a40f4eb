//! The embedded store: one SQLite file, `state.db`, for one process.

mod journal;
mod past;
mod rows;
mod shelf;

use std::{path::Path, sync::Arc};

use holdfast_storage::{Database, Failure, OpenError, Reader};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::{Bound, LostEpoch, Opened, Recovered};
use crate::domain::{Ended, EpochId, Epochs, Micros, SHARDS, ShardId, Vector};
use rows::{number, shard_number, signed};

/// The file is `state.db`, its lock `state.lock`.
const NAME: &str = "state";
/// Reads that may wait for the reader.
const READS_MAX: usize = 16_384;

/// Opens the store in a data directory. Where the last life left dirty shards behind, its epoch ends here, with loss.
///
/// # Errors
/// Each names the path and what to do.
pub fn open(directory: &Path, now: Micros) -> Result<Opened, OpenError> {
    let database = Database::open(directory, NAME, &migrations())?;
    let failed = |failure| OpenError::File { path: database.path().to_path_buf(), failure };
    let mut connection = database.writer().map_err(failed)?;
    let recovered = recover(&mut connection, now).map_err(failed)?;
    let reader = Reader::start("state-reader", database.clone(), READS_MAX)
        .map_err(|error| failed(Failure::new(holdfast_storage::Class::Io, error.to_string())))?;
    let journal = journal::Sqlite::new(database, connection, recovered.epochs.current());
    Ok(Opened {
        journal: Box::new(journal),
        shelf: Arc::new(shelf::Sqlite::new(reader)),
        recovered,
        backend: "embedded",
    })
}

fn migrations() -> Migrations<'static> {
    Migrations::from_iter([
        M::up(include_str!("../../migrations/sqlite/0001_records.sql")),
        M::up(include_str!("../../migrations/sqlite/0002_history.sql")),
        M::up(include_str!("../../migrations/sqlite/0003_heads.sql")),
    ])
}

fn recover(connection: &mut Connection, now: Micros) -> Result<Recovered, Failure> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let lost = match current_epoch(&tx)? {
        None => {
            begin(&tx, now)?;
            None
        }
        Some(epoch) => end_if(&tx, epoch, |shards| !shards.is_empty(), now)?,
    };
    let recovered = read(&tx, lost)?;
    tx.commit()?;
    Ok(recovered)
}

fn current_epoch(tx: &Transaction<'_>) -> rusqlite::Result<Option<EpochId>> {
    tx.query_row("SELECT epoch FROM decider", [], |row| Ok(EpochId(number(row, 0)?))).optional()
}

/// The first life of this directory.
fn begin(tx: &Transaction<'_>, now: Micros) -> rusqlite::Result<()> {
    let epoch = begin_epoch(tx, now)?;
    tx.execute("INSERT INTO decider (only_row, epoch, flushes, fence_floor) VALUES (1, ?1, 0, 0)", [signed(epoch.0)])?;
    ShardId::all()
        .try_for_each(|shard| tx.execute("INSERT INTO shards (shard) VALUES (?1)", [shard_number(shard)]).map(drop))
}

fn begin_epoch(tx: &Transaction<'_>, now: Micros) -> rusqlite::Result<EpochId> {
    let epoch = EpochId(rand::random());
    tx.execute("INSERT INTO epochs (epoch, state, begun) VALUES (?1, 'current', ?2)", (signed(epoch.0), now))?;
    Ok(epoch)
}

/// Ends the epoch of a directory that was restored from a copy, with loss: what was written after the copy was made is gone.
///
/// # Errors
/// As [`open`], also where a state service is using the directory; an empty one has nothing to end.
pub fn end_restored(directory: &Path, now: Micros) -> Result<Option<LostEpoch>, OpenError> {
    let database = Database::open(directory, NAME, &migrations())?;
    let failed = |failure| OpenError::File { path: database.path().to_path_buf(), failure };
    let mut connection = database.writer().map_err(failed)?;
    let mut end = || -> Result<_, Failure> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(epoch) = current_epoch(&tx)? else { return Ok(None) };
        let ended = end_if(&tx, epoch, |_| true, now)?;
        tx.commit()?;
        Ok(ended)
    };
    end().map_err(failed)
}

/// Ends an epoch with loss where the shards that were left dirty say so.
fn end_if(
    tx: &Transaction<'_>,
    epoch: EpochId,
    lost: impl FnOnce(&[ShardId]) -> bool,
    now: Micros,
) -> rusqlite::Result<Option<LostEpoch>> {
    let mut bound = Bound { writes: 0, bytes: 0 };
    let mut shards = Vec::new();
    let mut dirty = tx.prepare("SELECT shard, bound_writes, bound_bytes FROM shards WHERE dirty = 1 ORDER BY shard")?;
    let mut found = dirty.query([])?;
    while let Some(row) = found.next()? {
        shards.push(rows::shard(row, 0)?);
        // The window is one for all shards, so what they say is not added up.
        bound.writes = bound.writes.max(number(row, 1)?);
        bound.bytes = bound.bytes.max(number(row, 2)?);
    }
    if !lost(&shards) {
        return Ok(None);
    }
    tx.execute("UPDATE epochs SET state = 'lost', ended = ?2 WHERE epoch = ?1", (signed(epoch.0), now))?;
    let next = begin_epoch(tx, now)?;
    tx.execute("UPDATE decider SET epoch = ?1", [signed(next.0)])?;
    tx.execute("UPDATE shards SET dirty = 0, bound_writes = 0, bound_bytes = 0 WHERE dirty = 1", [])?;
    Ok(Some(LostEpoch { ended: Ended { epoch, at: now }, shards, bound }))
}

fn read(tx: &Transaction<'_>, lost: Option<LostEpoch>) -> rusqlite::Result<Recovered> {
    let (epoch, flushes, fence_floor) = tx.query_row("SELECT epoch, flushes, fence_floor FROM decider", [], |row| {
        Ok((EpochId(number(row, 0)?), number(row, 1)?, number(row, 2)?))
    })?;
    let mut epochs = Epochs::new(epoch);
    let mut past = tx.prepare("SELECT epoch, state = 'lost', ended FROM epochs WHERE state <> 'current'")?;
    let mut found = past.query([])?;
    while let Some(row) = found.next()? {
        let epoch = EpochId(number(row, 0)?);
        match row.get(1)? {
            true => epochs.add_lost(Ended { epoch, at: row.get(2)? }),
            false => epochs.fold(epoch),
        }
    }
    let mut floors = vec![Vector::default(); SHARDS];
    let mut stored = tx.prepare("SELECT shard, floor FROM shards WHERE floor IS NOT NULL")?;
    let mut found = stored.query([])?;
    while let Some(row) = found.next()? {
        floors[rows::shard(row, 0)?.index()] = rows::vector(row, 1)?;
    }
    let newest = |sql| tx.query_row(sql, [], |row| number(row, 0));
    Ok(Recovered {
        epochs,
        floors,
        flushes,
        seq: newest("SELECT coalesce(max(seq), 0) FROM history")?,
        record: newest("SELECT coalesce(max(id), 0) FROM records")?,
        fence_floor,
        lost,
    })
}

#[cfg(test)]
mod tests;
