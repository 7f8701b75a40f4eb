//! How editions, entries and fences are packed. The first bytes of an edition are what scripts compare without decoding:
//! its place, the place before it, its revision, and whether there is a record after it.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use uuid::Uuid;

use crate::{
    domain::{Address, Edition, Fence, Seq, Value, Vector, Writer},
    place::{Logged, Move, Moves},
    store::FenceScope,
};

/// As the scripts have it.
const TIP: u8 = 2;

const LIVE: u8 = 1;
const BLIND: u8 = 1;
const EXPIRES: u8 = 2;

/// What the hash of visible records holds where there is no record.
const ABSENT: [u8; 8] = [0; 8];

/// Something in the place that nobody put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("something that is not ours is in the place")]
pub struct Garbled;

/// An edition as the place holds it; `None` for no record.
pub fn pack(edition: Option<&Edition>) -> Vec<u8> {
    let Some(edition) = edition else { return ABSENT.to_vec() };
    let mut bytes = Vec::with_capacity(edition.bytes() + 32);
    bytes.put_u64(edition.seq);
    put_edition(&mut bytes, edition.previous, edition);
    bytes
}

/// Undoes [`pack`].
pub fn unpack(packed: Bytes) -> Result<Option<Arc<Edition>>, Garbled> {
    if packed == ABSENT[..] {
        return Ok(None);
    }
    let mut bytes = packed;
    let seq = bytes.try_get_u64().map_err(|_| Garbled)?;
    get_edition(&mut bytes, seq).map(|edition| Some(Arc::new(edition)))
}

/// By a record's head, the place of its newest edition where that is not visible yet.
pub fn tip(head: &[u8]) -> Result<Option<Seq>, Garbled> {
    let (mut newest, state) = (head.get(..8).ok_or(Garbled)?, *head.get(17).ok_or(Garbled)?);
    Ok((state == TIP).then(|| newest.get_u64()))
}

/// A write as an entry of the log; its editions have no places yet.
pub fn pack_entry(moves: &Moves) -> Vec<u8> {
    let bytes: u64 = moves.moves.iter().map(Move::bytes).sum();
    let mut entry = Vec::with_capacity(bytes as usize + 64 * moves.moves.len());
    entry.put_u8(moves.cached.into());
    entry.put_u64(bytes);
    entry.put_u32(moves.moves.len() as u32);
    for one in &moves.moves {
        let name = one.address.as_text();
        entry.put_u16(name.len() as u16);
        entry.put_slice(name.as_bytes());
        let length_at = entry.len();
        entry.put_u32(0);
        put_edition(&mut entry, one.expected, &one.edition);
        let length = (entry.len() - length_at - 4) as u32;
        entry[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    entry
}

/// Undoes [`pack_entry`], by the entry's last place.
pub fn unpack_entry(last: Seq, mut bytes: Bytes) -> Result<Logged, Garbled> {
    let cached = bytes.try_get_u8().map_err(|_| Garbled)? == 1;
    bytes.try_get_u64().map_err(|_| Garbled)?;
    let count = u64::from(bytes.try_get_u32().map_err(|_| Garbled)?);
    let first = (last + 1).checked_sub(count).ok_or(Garbled)?;
    let editions = (first..=last).map(|seq| {
        let length = bytes.try_get_u16().map_err(|_| Garbled)?;
        let address = Address::from_text(text(&take(&mut bytes, length.into())?)?).ok_or(Garbled)?;
        let length = bytes.try_get_u32().map_err(|_| Garbled)?;
        let edition = get_edition(&mut take(&mut bytes, length as usize)?, seq)?;
        Ok((address, Arc::new(edition)))
    });
    Ok(Logged { editions: editions.collect::<Result<_, _>>()?, cached })
}

/// A fence's copy.
pub fn pack_fence(fence: &Fence) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    bytes.put_u64(fence.number);
    bytes.put_u8(fence.lease.is_some().into());
    bytes.put_slice(fence.lease.as_deref().unwrap_or_default().as_bytes());
    bytes
}

/// Where a fence counts.
pub fn scope(scope: &FenceScope) -> String {
    format!("{}\0{}", scope.tenant, scope.name)
}

fn put_edition(bytes: &mut Vec<u8>, previous: Seq, edition: &Edition) {
    bytes.put_u64(previous);
    bytes.put_u64(edition.revision);
    bytes.put_u8(if edition.is_live() { LIVE } else { 0 });
    bytes.put_u8(if edition.blind { BLIND } else { 0 } | if edition.expires.is_some() { EXPIRES } else { 0 });
    bytes.put_u64(edition.record);
    bytes.put_slice(edition.writer.write_id.as_bytes());
    bytes.put_i64(edition.writer.time);
    if let Some(expires) = edition.expires {
        bytes.put_i64(expires);
    }
    put_short(bytes, &edition.vector.to_bytes());
    put_short(bytes, edition.writer.invocation_id.as_bytes());
    if let Some(value) = &edition.value {
        put_short(bytes, value.content_type.as_bytes());
        bytes.put_slice(&value.data);
    }
}

fn get_edition(bytes: &mut Bytes, seq: Seq) -> Result<Edition, Garbled> {
    let mut number = || bytes.try_get_u64().map_err(|_| Garbled);
    let (previous, revision) = (number()?, number()?);
    let mut flags = || bytes.try_get_u8().map_err(|_| Garbled);
    let (live, flags) = (flags()? == LIVE, flags()?);
    let record = bytes.try_get_u64().map_err(|_| Garbled)?;
    let write_id = Uuid::from_u128(bytes.try_get_u128().map_err(|_| Garbled)?);
    let time = bytes.try_get_i64().map_err(|_| Garbled)?;
    let expires = (flags & EXPIRES != 0).then(|| bytes.try_get_i64().map_err(|_| Garbled)).transpose()?;
    let vector = Vector::from_bytes(&get_short(bytes)?).map_err(|_| Garbled)?;
    let invocation_id = text(&get_short(bytes)?)?.into();
    let value = if live {
        let content_type = text(&get_short(bytes)?)?.into();
        Some(Value { content_type, data: bytes.split_off(0) })
    } else {
        None
    };
    let writer = Writer { write_id, invocation_id, time };
    Ok(Edition { record, seq, previous, revision, vector, value, writer, blind: flags & BLIND != 0, expires })
}

/// At most 65,535 bytes: a vector has a few entries, names are bounded.
fn put_short(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.put_u16(part.len() as u16);
    bytes.put_slice(part);
}

fn get_short(bytes: &mut Bytes) -> Result<Bytes, Garbled> {
    let length = bytes.try_get_u16().map_err(|_| Garbled)?;
    take(bytes, length.into())
}

fn take(bytes: &mut Bytes, length: usize) -> Result<Bytes, Garbled> {
    if bytes.len() < length { Err(Garbled) } else { Ok(bytes.split_to(length)) }
}

fn text(bytes: &Bytes) -> Result<&str, Garbled> {
    std::str::from_utf8(bytes).map_err(|_| Garbled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in a Redis: it is read, or refused, and nothing panics.
        #[test]
        fn what_is_not_ours_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), last in any::<u64>()) {
            let _ = unpack(bytes.clone().into());
            let _ = unpack_entry(last >> 1, bytes.into());
        }
    }
}
