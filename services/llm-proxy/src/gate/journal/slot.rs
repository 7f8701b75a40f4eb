//! One call in the file.

use std::time::Duration;

use crate::{
    clock::STEP,
    domain::{Lane, Need, Record},
};

pub(super) const SLOT: usize = 40;

const USED: u64 = 1;
const ARRIVED: u64 = 2;
const ENDED: u64 = 4;

/// A model's mark in the file: lanes have other numbers in the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::gate) struct Mark(u32);

impl Mark {
    pub(in crate::gate) fn of(upstream: &str) -> Self {
        // FNV-1a, which is the same in every build.
        let hash =
            upstream.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(hash)
    }
}

pub(super) fn encode(record: &Record, mark: Mark) -> [u8; SLOT] {
    let flag = |known: Option<Duration>, flag: u64| if known.is_some() { flag } else { 0 };
    // Rounded up: a record may count longer than the call did, never shorter.
    let micros = |at: Option<Duration>| at.map_or(0, |at| at.as_nanos().div_ceil(1_000) as u64);
    let fields = [
        USED | flag(record.arrived, ARRIVED) | flag(record.ended, ENDED) | u64::from(mark.0) << 32,
        micros(record.arrived),
        micros(record.ended),
        record.used.input,
        record.used.output,
    ];
    let mut bytes = [0; SLOT];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

/// A call, with its lane where that is among those given.
pub(super) fn decode(bytes: &[u8], lanes: &[(Mark, Lane)]) -> Option<Record> {
    let mut fields = [0_u64; SLOT / 8];
    for (field, place) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
        *field = u64::from_le_bytes(place.try_into().ok()?);
    }
    let [flags, arrived, ended, input, output] = fields;
    if flags & USED == 0 {
        return None;
    }
    let known = |flag: u64, micros: u64| (flags & flag != 0).then(|| Duration::from_micros(micros) + STEP);
    Some(Record {
        lane: lanes.iter().find(|(mark, _)| u64::from(mark.0) == flags >> 32).map(|(_, lane)| *lane),
        arrived: known(ARRIVED, arrived),
        ended: known(ENDED, ended),
        used: Need { input, output },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written_and_never_counts_shorter() {
        let at = Duration::from_nanos(1_234_567_890);
        let record = Record { lane: None, arrived: Some(at), ended: None, used: Need { input: 7, output: u64::MAX } };
        let mark = Mark::of("gpt-5");
        let read = decode(&encode(&record, mark), &[(Mark::of("o3"), Lane(1)), (mark, Lane(2))]).expect("it is used");
        assert_eq!((read.lane, read.ended, read.used), (Some(Lane(2)), None, record.used));
        let later = read.arrived.expect("it arrived") - at;
        assert!(later <= STEP + Duration::from_micros(1), "{later:?}");
        assert_eq!(decode(&encode(&record, mark), &[]).expect("it is used").lane, None);
        assert_eq!(decode(&[0; SLOT], &[]), None);
    }
}
