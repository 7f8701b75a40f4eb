//! What happened when: buckets of equal length from the beginning to the end.

use std::time::{Duration, Instant};

use super::{Record, Spread};
use crate::caller::{End, Ended};
use crate::ends::Tally;
use crate::outcome::Bucket;
use crate::watch::Look;

/// The buckets of a side.
pub(super) fn of(record: &Record) -> Vec<Bucket> {
    let length = record.every.max(Duration::from_millis(1));
    let count = record.length().as_nanos() / length.as_nanos() + 1;
    let place = |at: Instant| (at.saturating_duration_since(record.began).as_nanos() / length.as_nanos()) as usize;
    let mut buckets: Vec<_> = (0..count as u32).map(|number| empty(length, number)).collect();
    let last = buckets.len() - 1;
    let mut waits = vec![Vec::new(); buckets.len()];
    for (ended, begun) in record.ended.iter().zip(&record.begun) {
        buckets[place(ended.asked).min(last)].offered += 1;
        count_end(&mut buckets[place(ended.ended).min(last)], ended);
        for (at, _) in &ended.refusals {
            buckets[place(*at).min(last)].refusals += 1;
        }
        if let Some(begun) = begun {
            waits[place(*begun).min(last)].push(begun.saturating_duration_since(ended.asked));
        }
    }
    for (bucket, waits) in buckets.iter_mut().zip(waits) {
        let waits: Spread = waits.into_iter().collect();
        (bucket.wait_p50_ms, bucket.wait_p99_ms) =
            (waits.at(0.5).unwrap_or_default(), waits.at(0.99).unwrap_or_default());
    }
    see(&mut buckets, &record.looks, place);
    buckets
}

fn empty(length: Duration, number: u32) -> Bucket {
    let at_ms = (length * number).as_millis() as u64;
    let next_ms = (length * (number + 1)).as_millis() as u64;
    Bucket { at_ms, length_ms: next_ms - at_ms, ..Bucket::default() }
}

fn count_end(bucket: &mut Bucket, ended: &Ended) {
    match ended.end {
        End::Answered { degraded, .. } => {
            bucket.completed += 1;
            bucket.degraded += u64::from(degraded);
        }
        _ => bucket.failed += 1,
    }
}

/// What was seen: the last look of each bucket; where there was none, all is as it was.
fn see(buckets: &mut [Bucket], looks: &[Look], place: impl Fn(Instant) -> usize) {
    let (mut looks, mut last, mut before) = (looks.iter().peekable(), None::<&Look>, Tally::default());
    for (number, bucket) in buckets.iter_mut().enumerate() {
        while let Some(look) = looks.next_if(|look| place(look.at) <= number) {
            last = Some(look);
        }
        let Some(look) = last else { continue };
        let since = look.tally - before;
        before = look.tally;
        (bucket.depth, bucket.workers_busy, bucket.workers_stalled) = (look.depth, look.busy, look.stalled);
        (bucket.provider_429, bucket.model_answered) = (since.refused, since.model_answered);
    }
}
