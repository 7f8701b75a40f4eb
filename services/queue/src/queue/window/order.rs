//! In which order what was found is taken in, and tried.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use crate::store::{Candidate, WriterId};

/// All writers' candidates by age, each writer's in its own order.
pub(super) fn merged(found: Vec<Candidate>) -> Vec<Candidate> {
    let mut writers: BTreeMap<WriterId, VecDeque<Candidate>> = BTreeMap::new();
    for candidate in found {
        writers.entry(candidate.key.writer).or_default().push_back(candidate);
    }
    let mut all = Vec::new();
    let oldest = |writers: &BTreeMap<WriterId, VecDeque<Candidate>>| {
        let heads = writers.iter().filter_map(|(writer, queue)| queue.front().map(|head| (head.ready_at, *writer)));
        heads.min().map(|(_, writer)| writer)
    };
    while let Some(writer) = oldest(&writers) {
        all.extend(writers.get_mut(&writer).and_then(VecDeque::pop_front));
    }
    all
}

/// The time from the first to the last of what became ready.
pub(super) fn span(found: &[Candidate]) -> Option<i64> {
    let first = found.iter().map(|candidate| candidate.ready_at).min()?;
    let last = found.iter().map(|candidate| candidate.ready_at).max()?;
    Some(last - first)
}

/// A process's own place for one: a delay up to the span, and an order between equals. Nobody waits for longer than the
/// span because of it.
pub(super) fn own(id: Uuid, me: WriterId, span: i64) -> (i64, i64) {
    let mixed = mix((id.as_u128() as u64) ^ ((id.as_u128() >> 64) as u64) ^ mix(me as u64));
    let share = (mixed >> 40) as f64 / (1_u64 << 24) as f64;
    ((share * span as f64) as i64, (mixed >> 1) as i64)
}

/// Spreads numbers that lie close together (the last step of SplitMix64, by G. Steele, D. Lea and C. Flood).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
