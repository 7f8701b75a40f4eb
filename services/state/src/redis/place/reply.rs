//! What scripts answer, as what it means.

use std::sync::Arc;

use ::redis::Value;
use bytes::Bytes;
use holdfast_storage::{Class, Failure};

use crate::{
    domain::{Address, Edition, EpochId, Seq},
    place::{Logged, Seen, Standing, Survivors, Taken, Ticket, Trouble},
    redis::codec::{self, Garbled},
};

impl From<Garbled> for Trouble {
    fn from(garbled: Garbled) -> Self {
        Self::Away { failure: Failure::new(Class::Statement, garbled.to_string()), in_doubt: true }
    }
}

pub(super) fn taken(code: i64, rows: &[Value], count: u64) -> Result<Taken, Trouble> {
    Ok(match code {
        0 => {
            let first = number(rows)?;
            Taken::Taken((first..first + count).collect())
        }
        2 => Taken::Changed,
        3 => Taken::FenceUnknown,
        4 => Taken::Fenced,
        5 => Taken::Full,
        6 => Taken::Crowded,
        _ => return Err(Garbled.into()),
    })
}

/// Three lists: what is visible, the heads, and the entries that hold what is not visible yet.
pub(super) fn seen(rows: Vec<Value>, addresses: &[Address], into: &mut Vec<Seen>) -> Result<(), Trouble> {
    let [visible, heads, entries] = <[Value; 3]>::try_from(rows).map_err(|_| Garbled)?;
    let (visible, heads, entries) = (sequence(visible)?, sequence(heads)?, log(sequence(entries)?)?);
    if visible.len() != addresses.len() || heads.len() != addresses.len() {
        return Err(Garbled.into());
    }
    for ((address, visible), head) in addresses.iter().zip(visible).zip(heads) {
        into.push(match (bytes(visible)?, bytes(head)?) {
            (Some(visible), Some(head)) => {
                let tip = codec::tip(&head)?.map(|seq| find(&entries, address, seq)).transpose()?;
                Seen::Here { visible: codec::unpack(visible)?, tip }
            }
            (None, None) => Seen::Missing,
            _ => return Err(Garbled.into()),
        });
    }
    Ok(())
}

fn find(entries: &[Logged], address: &Address, seq: Seq) -> Result<Arc<Edition>, Garbled> {
    let mut all = entries.iter().flat_map(|entry| &entry.editions);
    let found = all.find(|(at, edition)| edition.seq == seq && at == address);
    found.map(|(_, edition)| Arc::clone(edition)).ok_or(Garbled)
}

/// What the log had reached, or nothing; then as [`log`].
pub(super) fn survivors(mut rows: Vec<Value>) -> Result<Survivors, Trouble> {
    if rows.is_empty() {
        return Err(Garbled.into());
    }
    let entries = log(rows.split_off(1))?;
    let reached = if rows == [Value::Nil] { None } else { Some(number(&rows)?) };
    Ok(Survivors { reached, entries })
}

/// Last place and entry, in turn.
pub(super) fn log(rows: Vec<Value>) -> Result<Vec<Logged>, Trouble> {
    let mut rows = rows.into_iter();
    let mut log = Vec::with_capacity(rows.len() / 2);
    while let (Some(last), Some(entry)) = (rows.next(), rows.next()) {
        let last = ::redis::from_redis_value_ref(&last).map_err(|_| Garbled)?;
        log.push(codec::unpack_entry(last, bytes(entry)?.ok_or(Garbled)?)?);
    }
    Ok(log)
}

pub(super) fn tickets(rows: Vec<Value>, count: usize) -> Result<Vec<Ticket>, Trouble> {
    let given = rows.into_iter().next().map(sequence).transpose()?.unwrap_or_default();
    let tickets = given.into_iter().map(|ticket| Ok(Ticket(bytes(ticket)?.ok_or(Garbled)?)));
    let tickets: Vec<_> = tickets.collect::<Result<_, Trouble>>()?;
    if tickets.len() == count { Ok(tickets) } else { Err(Garbled.into()) }
}

pub(super) fn standing(rows: &[Value]) -> Result<Standing, Trouble> {
    let at = |index: usize| number(&rows[index.min(rows.len())..]);
    Ok(Standing { decided: at(0)?, stored: at(1)?, dirty: (at(2)?, at(3)?) })
}

pub(super) fn epochs(rows: Vec<Value>) -> Result<Vec<EpochId>, Trouble> {
    let names = rows.into_iter().next().map(sequence).transpose()?.unwrap_or_default();
    let epoch = |name: Value| {
        let name = bytes(name)?.ok_or(Garbled)?;
        let number = std::str::from_utf8(&name).ok().and_then(|name| u64::from_str_radix(name, 16).ok());
        Ok(EpochId(number.ok_or(Garbled)?))
    };
    names.into_iter().map(epoch).collect()
}

/// The number that comes first.
pub(super) fn number(rows: &[Value]) -> Result<u64, Trouble> {
    match rows.first() {
        Some(Value::Int(number)) => Ok(u64::try_from(*number).map_err(|_| Garbled)?),
        _ => Err(Garbled.into()),
    }
}

fn sequence(value: Value) -> Result<Vec<Value>, Trouble> {
    Ok(value.into_sequence().map_err(|_| Garbled)?)
}

fn bytes(value: Value) -> Result<Option<Bytes>, Trouble> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        _ => Err(Garbled.into()),
    }
}
