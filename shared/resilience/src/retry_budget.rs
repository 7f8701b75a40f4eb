//! How many retries the calls pay for: requests to a failing dependency stay within a share of the calls made.

use std::sync::atomic::{AtomicU64, Ordering};

/// A hundredth of a retry.
const RETRY: u64 = 100;

/// Each call earns a share of a retry; each retry costs a whole one. It starts with nothing and saves up only a little,
/// so that over any stretch of calls the retries are at most their share and the savings. No lock, no clock.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicU64,
    percent: u64,
    most: u64,
}

impl RetryBudget {
    /// Retries up to `percent` of the calls; at most `savings` of them may follow one another after good times.
    pub fn new(percent: u32, savings: u32) -> Self {
        Self { saved: AtomicU64::new(0), percent: u64::from(percent), most: u64::from(savings.max(1)) * RETRY }
    }

    /// A call is made: its first attempt.
    pub fn deposit(&self) {
        let earn = |saved: u64| Some(saved.saturating_add(self.percent).min(self.most));
        let _ = self.saved.fetch_update(Ordering::AcqRel, Ordering::Acquire, earn);
    }

    /// May an attempt be repeated? True spends a retry.
    pub fn withdraw(&self) -> bool {
        let spend = |saved: u64| saved.checked_sub(RETRY);
        self.saved.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend).is_ok()
    }
}

impl Default for RetryBudget {
    /// One retry for ten calls: requests stay ≤ 1.1 × the calls.
    fn default() -> Self {
        Self::new(10, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_always_fails_gets_a_tenth_more_requests_at_most() {
        let budget = RetryBudget::default();
        let mut retries = 0;
        for call in 1..=1000_u32 {
            budget.deposit();
            while budget.withdraw() {
                retries += 1;
            }
            assert!(retries * 10 <= call, "{retries} retries after {call} calls");
        }
        assert_eq!(retries, 100);
    }

    #[test]
    fn good_times_save_up_only_a_little() {
        let budget = RetryBudget::new(10, 3);
        (0..100_000).for_each(|_| budget.deposit());
        let retries = std::iter::repeat_with(|| budget.withdraw()).take_while(|granted| *granted).count();
        assert_eq!(retries, 3);
    }
}
