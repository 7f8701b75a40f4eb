//! What is likely to come free of a shared limit, and when.

use std::time::Duration;

use super::Stock;

impl Stock {
    /// When how much more is likely to be free, as it looked at last.
    pub(crate) fn frees(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.outlook(self.now).1.into_iter()
    }

    /// When time alone changes something, after this time.
    pub(crate) fn next_change(&self, after: Duration) -> Option<Duration> {
        let alone = self.alone.frees().map(|(at, _)| at).find(|at| *at > after);
        let lapses = Some(self.lease_until).filter(|at| *at > after);
        if self.cut_off { lapses.into_iter().chain(alone).min() } else { lapses.or(alone) }
    }

    /// What could be used now, here or by a grant that nobody else is after, and when how much more is likely to be.
    pub(crate) fn outlook(&self, now: Duration) -> (u64, Vec<(Duration, u64)>) {
        let alone = || {
            let used: u64 = self.alone.frees().filter(|(at, _)| *at > now).map(|(_, units)| units).sum();
            self.alone.limit().saturating_sub(used.saturating_add(self.alone.reserved()))
        };
        if !self.is_leased(now) {
            return (alone(), self.alone.frees().filter(|(at, _)| *at > now).collect());
        }
        let sharers = self.news.others + 1;
        let free = self.hand.free() + self.news.free / sharers;
        // A ledger that is late is likely to answer yet: nobody is refused for that.
        let free = if self.cut_off { free.max(alone()) } else { free };
        let (Some(next), Some(last)) = (self.news.next, self.news.last) else { return (free, Vec::new()) };
        // As if it became free evenly.
        const STEPS: u32 = 8;
        let part = (self.news.used / sharers).div_ceil(u64::from(STEPS));
        let steps = (0..STEPS).map(|step| (self.news_at + next + last.saturating_sub(next) * step / (STEPS - 1), part));
        (free, steps.collect())
    }
}
