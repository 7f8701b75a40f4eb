//! When a call at the end of the line would start.

use std::time::Duration;

use holdfast_resilience::SlidingLog;

use super::key::{Key, TRANSIT_MAX};

/// What stands before a start, the call itself included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
}

/// The time at which all that is needed can have started: the latest of what each kind of limit says. `pace` is how long a
/// call holds its place, where it was measured. Exact for requests and tokens that have arrived; fair for places.
pub(crate) fn start(keys: &[Key], now: Duration, needed: Needed, pace: Option<Duration>) -> Duration {
    let requests = Kind { log: Key::request_log, limit: |key| key.limits().requests.map(u64::from) };
    let tokens = Kind { log: Key::token_log, limit: |key| key.limits().tokens };
    let usable = keys.iter().map(|key| usable_at(key, now)).min().unwrap_or(now);
    usable.max(requests.when(keys, now, needed.calls)).max(tokens.when(keys, now, needed.tokens)).max(places(
        keys,
        now,
        needed.calls,
        pace,
    ))
}

fn usable_at(key: &Key, now: Duration) -> Duration {
    key.resting_until().max(now)
}

/// A kind of limit with a sliding log.
struct Kind {
    log: fn(&Key) -> Option<&SlidingLog>,
    limit: fn(&Key) -> Option<u64>,
}

impl Kind {
    /// When so much will have become free, over all keys.
    fn when(&self, keys: &[Key], now: Duration, needed: u64) -> Duration {
        let unlimited = keys.iter().filter(|key| (self.limit)(key).is_none()).map(|key| usable_at(key, now)).min();
        if let Some(at) = unlimited {
            return at;
        }
        let total: u64 = keys.iter().filter_map(self.limit).sum();
        if needed == 0 || total == 0 {
            return now;
        }
        // What starts now is free again a window later: beyond one filling of all windows, the pattern repeats.
        let (fillings, rest) = ((needed - 1) / total, (needed - 1) % total + 1);
        let window = keys.iter().map(|key| key.limits().window).max().unwrap_or_default();
        self.within_one_filling(keys, now, rest) + window.saturating_mul(u32::try_from(fillings).unwrap_or(u32::MAX))
    }

    fn within_one_filling(&self, keys: &[Key], now: Duration, needed: u64) -> Duration {
        let mut streams: Vec<_> = keys.iter().map(|key| self.frees(key, now)).collect();
        let mut heads: Vec<_> = streams.iter_mut().map(Iterator::next).collect();
        let (mut freed, mut at) = (0_u64, now);
        while freed < needed {
            let times = heads.iter().enumerate().filter_map(|(index, head)| Some((head.as_ref()?.0, index)));
            let Some((time, index)) = times.min() else { break };
            let amount = std::mem::replace(&mut heads[index], streams[index].next()).map_or(0, |(_, amount)| amount);
            (freed, at) = (freed.saturating_add(amount), time);
        }
        at
    }

    /// What a key has free now, and what becomes free by and by.
    fn frees<'k>(&self, key: &'k Key, now: Duration) -> impl Iterator<Item = (Duration, u64)> + 'k {
        let usable = usable_at(key, now);
        let log = (self.log)(key);
        let spent: u64 = log.into_iter().flat_map(SlidingLog::frees).filter(|(at, _)| *at > now).map(|(_, n)| n).sum();
        let reserved = log.map_or(0, SlidingLog::reserved);
        let free = (self.limit)(key).unwrap_or(0).saturating_sub(spent.saturating_add(reserved));
        let later = log.into_iter().flat_map(SlidingLog::frees).filter(move |(at, _)| *at > now);
        let unknown = now + TRANSIT_MAX + key.limits().window;
        std::iter::once((usable, free))
            .chain(later.map(move |(at, amount)| (at.max(usable), amount)))
            .chain(std::iter::once((unknown.max(usable), reserved)))
    }
}

/// Places come free one after the other, as fast as calls end.
fn places(keys: &[Key], now: Duration, needed: u64, pace: Option<Duration>) -> Duration {
    let mut all = 0_u64;
    let mut free = 0_u64;
    for key in keys {
        let Some(most) = key.limits().concurrency else { return now };
        all += u64::from(most);
        if key.resting_until() <= now {
            free += u64::from(most.saturating_sub(key.places()));
        }
    }
    let waiting = needed.saturating_sub(free);
    match pace {
        Some(pace) if waiting > 0 && all > 0 => {
            let nanos = pace.as_nanos().saturating_mul(u128::from(waiting)) / u128::from(all);
            now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
        }
        _ => now,
    }
}
