//! Versions: which writes a record has seen, so that a stale write, a lost write and a current one are told apart.
//!
//! A vector counts a record's accepted writes by epoch. Counts of epochs that are folded are one number, the floor. Two
//! rules make comparison exact: folding happens only at a record's next write, and the set of folded epochs only grows,
//! so whatever a vector's ancestors have folded, it has folded too.

use std::fmt;

use super::{EpochId, Epochs};

/// How many accepted writes a record has seen, by epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Vector {
    floor: u64,
    /// Ordered by epoch, counts at least 1.
    counts: Vec<(EpochId, u64)>,
}

/// What a presented version is to the one held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same: the record has not moved on.
    Equal,
    /// An earlier state of the record.
    Behind,
    /// It names a write that is not there any more.
    Lost,
}

/// A version on the wire that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVersion {
    /// Not made by this service.
    #[error("is not a version; carry the bytes exactly as they were read")]
    Malformed,
    /// Made for another address.
    #[error("is the version of another record")]
    OtherRecord,
}

/// The first byte of every version, for formats to come.
const FORMAT: u8 = 1;

impl Vector {
    /// The vector of a record that takes one more write: ended epochs fold, the current one counts.
    #[must_use]
    pub fn next(&self, epochs: &Epochs) -> Self {
        let mut next = self.folded(epochs);
        match next.counts.binary_search_by_key(&epochs.current(), |(epoch, _)| *epoch) {
            Ok(place) => next.counts[place].1 += 1,
            Err(place) => next.counts.insert(place, (epochs.current(), 1)),
        }
        next
    }

    /// Compares a presented version with the one that the record has.
    pub fn compare(presented: &Self, held: &Self, epochs: &Epochs) -> Comparison {
        if presented == held {
            return Comparison::Equal;
        }
        let (presented, held) = (presented.folded(epochs), held.folded(epochs));
        let known = |(epoch, count): &(EpochId, u64)| *count <= held.count(*epoch);
        // Floors of one record's line rise together with its writes. Counts that were lost and then folded may exceed
        // it: their writes count as long forgotten, so only what is told apart decides.
        if presented.counts.iter().all(known) { Comparison::Behind } else { Comparison::Lost }
    }

    /// A vector that is ahead of both, or equal: what an absent record counts on from.
    #[must_use]
    pub fn merge(&self, other: &Self, epochs: &Epochs) -> Self {
        let (mut merged, other) = (self.folded(epochs), other.folded(epochs));
        merged.floor = merged.floor.max(other.floor);
        for (epoch, count) in other.counts {
            match merged.counts.binary_search_by_key(&epoch, |(epoch, _)| *epoch) {
                Ok(place) => merged.counts[place].1 = merged.counts[place].1.max(count),
                Err(place) => merged.counts.insert(place, (epoch, count)),
            }
        }
        merged
    }

    /// All writes that it counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(self.floor, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Its size in entries.
    pub fn entries(&self) -> usize {
        self.counts.len()
    }

    fn count(&self, epoch: EpochId) -> u64 {
        self.counts.binary_search_by_key(&epoch, |(epoch, _)| *epoch).map_or(0, |place| self.counts[place].1)
    }

    fn folded(&self, epochs: &Epochs) -> Self {
        let mut folded = Self { floor: self.floor, counts: Vec::with_capacity(self.counts.len() + 1) };
        for (epoch, count) in &self.counts {
            if epochs.is_folded(*epoch) {
                folded.floor = folded.floor.saturating_add(*count);
            } else {
                folded.counts.push((*epoch, *count));
            }
        }
        folded
    }

    /// As the store keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(10 + self.counts.len() * 12);
        self.write(&mut bytes);
        bytes
    }

    /// From the store.
    ///
    /// # Errors
    /// [`BadVersion::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadVersion> {
        Self::read(bytes)
    }

    /// As clients carry it: bound to its record by the address's tag.
    pub fn to_version(&self, tag: [u8; 8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + self.counts.len() * 12);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&tag);
        self.write(&mut bytes);
        bytes
    }

    /// From a client.
    ///
    /// # Errors
    /// Not a version, or another record's.
    pub fn from_version(bytes: &[u8], tag: [u8; 8]) -> Result<Self, BadVersion> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => {
                let (theirs, rest) = rest.split_first_chunk::<8>().ok_or(BadVersion::Malformed)?;
                let vector = Self::read(rest)?;
                if *theirs == tag { Ok(vector) } else { Err(BadVersion::OtherRecord) }
            }
            _ => Err(BadVersion::Malformed),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        write_number(bytes, self.floor);
        for (epoch, count) in &self.counts {
            bytes.extend_from_slice(&epoch.0.to_be_bytes());
            write_number(bytes, *count);
        }
    }

    fn read(mut bytes: &[u8]) -> Result<Self, BadVersion> {
        let floor = read_number(&mut bytes)?;
        let mut counts: Vec<(EpochId, u64)> = Vec::new();
        while !bytes.is_empty() {
            let (epoch, rest) = bytes.split_first_chunk::<8>().ok_or(BadVersion::Malformed)?;
            bytes = rest;
            let entry = (EpochId(u64::from_be_bytes(*epoch)), read_number(&mut bytes)?);
            // One vector has one form, so that equality of bytes is equality of versions.
            if entry.1 == 0 || counts.last().is_some_and(|last| last.0 >= entry.0) {
                return Err(BadVersion::Malformed);
            }
            counts.push(entry);
        }
        Ok(Self { floor, counts })
    }
}

/// For people, in the detail of a loss.
impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "floor:{}", self.floor)?;
        self.counts.iter().try_for_each(|(epoch, count)| write!(f, ", {epoch}:{count}"))
    }
}

/// LEB128: seven bits a byte, low ones first.
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, BadVersion> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BadVersion::Malformed)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        let overlong = byte == 0 && shift > 0;
        if overlong || (part << shift) >> shift != part {
            return Err(BadVersion::Malformed);
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BadVersion::Malformed)
}

#[cfg(test)]
mod tests;
