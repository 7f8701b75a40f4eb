//! Between rows and the domain.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::domain::{Address, Edition, Note, Partition, ShardId, Value, Vector, Writer};

/// The columns of the history that [`note`] reads, in its order.
pub(super) const NOTE: &str = "h.revision, h.vector, h.write_id, h.invocation, h.time";
/// The columns of the history that [`edition`] reads, in its order: a note's, and more.
pub(super) const EDITION: &str = "h.revision, h.vector, h.write_id, h.invocation, h.time, \
                                  h.seq, h.record, h.previous, h.blind, h.content_type, h.value, h.expires";

/// PostgreSQL's integers are signed: the same 64 bits.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A number of rows or bytes, as SQL takes it.
pub(super) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A shard, as it is stored.
pub(super) fn shard_number(shard: ShardId) -> i32 {
    shard.index() as i32
}

pub(super) fn shard(row: &PgRow, column: usize) -> sqlx::Result<ShardId> {
    let index: i32 = row.try_get(column)?;
    usize::try_from(index)
        .ok()
        .and_then(ShardId::from_index)
        .ok_or_else(|| unreadable(column, "no shard has this number"))
}

pub(super) fn number(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

pub(super) fn vector(row: &PgRow, column: usize) -> sqlx::Result<Vector> {
    Vector::from_bytes(row.try_get(column)?).map_err(|error| unreadable(column, error))
}

/// A shard's floor: none is the lowest.
pub(super) fn floor(row: &PgRow, column: usize) -> sqlx::Result<Vector> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    let floor = bytes.map(Vector::from_bytes).transpose().map_err(|error| unreadable(column, error))?;
    Ok(floor.unwrap_or_default())
}

/// A note in the columns from `at` on.
pub(super) fn note(row: &PgRow, at: usize) -> sqlx::Result<Note> {
    Ok(Note {
        revision: number(row, at)?,
        vector: vector(row, at + 1)?,
        writer: Writer {
            write_id: row.try_get(at + 2)?,
            invocation_id: row.try_get::<&str, _>(at + 3)?.into(),
            time: row.try_get(at + 4)?,
        },
    })
}

/// An edition in the columns from `at` on.
pub(super) fn edition(row: &PgRow, at: usize) -> sqlx::Result<Edition> {
    let Note { revision, vector, writer } = note(row, at)?;
    let value = match row.try_get::<Option<&str>, _>(at + 9)? {
        Some(content_type) => {
            let data: Vec<u8> = row.try_get(at + 10)?;
            Some(Value { data: data.into(), content_type: Arc::from(content_type) })
        }
        None => None,
    };
    Ok(Edition {
        record: number(row, at + 6)?,
        seq: number(row, at + 5)?,
        previous: number(row, at + 7)?,
        revision,
        vector,
        value,
        writer,
        blind: row.try_get(at + 8)?,
        expires: row.try_get(at + 11)?,
    })
}

/// An edition where there is one: its columns are null where there is none.
pub(super) fn found(row: &PgRow, at: usize) -> sqlx::Result<Option<Edition>> {
    match row.try_get::<Option<i64>, _>(at)? {
        Some(_) => edition(row, at).map(Some),
        None => Ok(None),
    }
}

/// The names of a record in the columns from `at` on; hidden ones too.
pub(super) fn address(row: &PgRow, at: usize) -> sqlx::Result<Address> {
    let partition = Partition::new(row.try_get(at)?, row.try_get(at + 1)?, row.try_get(at + 2)?)
        .map_err(|bad| unreadable(at, bad))?;
    Ok(partition.record(row.try_get(at + 3)?))
}

fn unreadable(column: usize, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: why.into() }
}

/// Text as PostgreSQL takes it: callers' may hold the one character that it does not.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
