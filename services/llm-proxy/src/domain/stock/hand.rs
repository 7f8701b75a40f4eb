use std::time::Duration;

use super::Report;

/// What a process has of a limit, as totals since it joined.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hand {
    pub(super) granted: u64,
    /// Used or held without a grant.
    pub(super) over: u64,
    pub(super) settled: u64,
    pub(super) settled_at: Duration,
    pub(super) returned: u64,
    /// Held by calls that have not arrived.
    pub(super) reserved: u64,
    /// What the ledger certainly knows of `over`.
    over_known: u64,
    /// What it was told of `settled`, heard or not.
    pub(super) settled_told: u64,
}

impl Hand {
    /// What may be reserved.
    pub(super) fn free(&self) -> u64 {
        let gone = self.settled.saturating_add(self.returned).saturating_add(self.reserved);
        self.granted.saturating_add(self.over).saturating_sub(gone)
    }

    /// So much is used or held; what is not free of it was never granted.
    pub(super) fn lacks(&mut self, units: u64) {
        self.over = self.over.saturating_add(units.saturating_sub(self.free()));
    }

    pub(super) fn report(&mut self, want: u64, chunk: u64) -> Report {
        self.settled_told = self.settled;
        let Self { over, settled, settled_at, returned, .. } = *self;
        Report { over, settled, settled_at, returned, want, chunk, corrections: Vec::new() }
    }

    /// The ledger has heard this, and has granted so much in all; whether that is more than was known.
    pub(super) fn told(&mut self, told: &Report, granted: u64) -> bool {
        self.over_known = self.over_known.max(told.over);
        let more = granted > self.granted;
        self.granted = self.granted.max(granted);
        more
    }

    /// The hand with which a process joins again. The ledger has counted all that it knew of as used just now; what is still
    /// on its way may count later than that, so it is counted again; and what it was never told is told now.
    pub(super) fn rejoin(&self, now: Duration) -> Self {
        let untold = self.over.saturating_sub(self.over_known);
        Self {
            over: self.reserved.saturating_add(untold),
            settled: untold,
            settled_at: now,
            reserved: self.reserved,
            ..Self::default()
        }
    }
}
