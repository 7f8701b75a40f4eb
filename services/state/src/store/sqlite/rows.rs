//! Between rows and the domain.

use rusqlite::{
    Row,
    types::{FromSqlError, Type},
};
use uuid::Uuid;

use crate::domain::{Address, Edition, Note, Partition, ShardId, Value, Vector, Writer};

/// The columns of the history that [`note`] reads, in its order.
pub(super) const NOTE: &str = "h.revision, h.vector, h.write_id, h.invocation, h.time";
/// The columns of the history that [`edition`] reads, in its order: a note's, and more.
pub(super) const EDITION: &str = "h.revision, h.vector, h.write_id, h.invocation, h.time, \
                                  h.seq, h.record, h.previous, h.blind, h.content_type, h.value, h.expires";

/// SQLite's integers are signed: the same 64 bits.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A number of rows, as SQL takes it.
pub(super) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A shard, as it is stored.
pub(super) fn shard_number(shard: ShardId) -> i64 {
    count(shard.index())
}

pub(super) fn shard(row: &Row<'_>, column: usize) -> rusqlite::Result<ShardId> {
    let index: u8 = row.get(column)?;
    ShardId::from_index(index.into()).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, index.into()))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn vector(row: &Row<'_>, column: usize) -> rusqlite::Result<Vector> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|error| unreadable(column, error))?;
    Vector::from_bytes(bytes)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error)))
}

pub(super) fn note(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        revision: number(row, 0)?,
        vector: vector(row, 1)?,
        writer: Writer { write_id: Uuid::from_bytes(row.get(2)?), invocation_id: row.get(3)?, time: row.get(4)? },
    })
}

pub(super) fn edition(row: &Row<'_>) -> rusqlite::Result<Edition> {
    let Note { revision, vector, writer } = note(row)?;
    let content_type: Option<std::sync::Arc<str>> = row.get(9)?;
    let value = match content_type {
        Some(content_type) => Some(Value { data: row.get::<_, Vec<u8>>(10)?.into(), content_type }),
        None => None,
    };
    Ok(Edition {
        record: number(row, 6)?,
        seq: number(row, 5)?,
        previous: number(row, 7)?,
        revision,
        vector,
        value,
        writer,
        blind: row.get(8)?,
        expires: row.get(11)?,
    })
}

/// The names of a record in the first four columns; hidden ones too.
pub(super) fn address(row: &Row<'_>) -> rusqlite::Result<Address> {
    let part = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    Partition::new(part(0)?, part(1)?, part(2)?)
        .map(|partition| partition.record(part(3).unwrap_or_default()))
        .map_err(|bad| rusqlite::Error::ToSqlConversionFailure(Box::new(bad)))
}

fn unreadable(column: usize, error: FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}
