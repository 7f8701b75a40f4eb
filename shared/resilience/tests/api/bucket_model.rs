//! Bucket and log against plain models: fractions for the one, a list of everything spent for the other.

use std::time::Duration;

use holdfast_resilience::{SlidingLog, TokenBucket};
use proptest::prelude::*;

const WINDOW_MS: u64 = 1000;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn asks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..300_u64, 1..8_u64), 0..200)
}

/// The most that was spent in any window that begins with a spending, both ends included.
fn busiest_window(spent: &[(u64, u64)]) -> u64 {
    let window = |from: u64| {
        let within = spent.iter().filter(move |(time, _)| (from..=from + WINDOW_MS).contains(time));
        within.map(|(_, tokens)| tokens).sum()
    };
    spent.iter().map(|(time, _)| window(*time)).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn the_bucket_gives_what_a_plain_count_gives(capacity in 1..20_u64, refill in 1..20_u64, asks in asks()) {
        let mut bucket = TokenBucket::new(capacity, refill, at(WINDOW_MS));
        // The model counts in thousandths of a token: with whole milliseconds that is exact.
        let full = capacity * 1000;
        let (mut level, mut now) = (full, 0);
        for (pause, tokens) in asks {
            now += pause;
            level = (level + pause * refill).min(full);
            let wanted = tokens <= capacity && level >= tokens * 1000;
            level -= if wanted { tokens * 1000 } else { 0 };
            prop_assert_eq!(bucket.try_take(at(now), tokens).is_ok(), wanted);
            prop_assert_eq!(bucket.available(at(now)), level / 1000);
        }
    }

    #[test]
    fn burst_and_refill_stay_within_the_limit_in_every_window(limit in 2..40_u64, burst in 1..39_u64, asks in asks()) {
        let Some(mut bucket) = TokenBucket::within(limit, at(WINDOW_MS), burst) else {
            prop_assert!(burst >= limit);
            return Ok(());
        };
        let mut now = 0;
        let mut spent = Vec::new();
        for (pause, tokens) in asks {
            now += pause;
            if bucket.try_take(at(now), tokens).is_ok() {
                spent.push((now, tokens));
            }
        }
        prop_assert!(busiest_window(&spent) <= limit);
    }

    #[test]
    fn the_log_keeps_every_window_and_refuses_only_what_would_break_it(limit in 1..20_u64, asks in asks()) {
        let mut log = SlidingLog::new(limit, at(WINDOW_MS));
        let mut now = 0;
        let mut spent: Vec<(u64, u64)> = Vec::new();
        for (pause, tokens) in asks {
            now += pause;
            let granted = log.reserve(at(now), tokens).is_ok();
            if granted {
                log.arrive(at(now), tokens);
            }
            let recent = spent.iter().filter(|(time, _)| time + WINDOW_MS >= now);
            let held: u64 = recent.map(|(_, tokens)| tokens).sum();
            prop_assert_eq!(granted, held + tokens <= limit);
            if granted {
                spent.push((now, tokens));
            }
        }
        prop_assert!(busiest_window(&spent) <= limit);
    }

    #[test]
    fn slow_travellers_stay_within_the_limit_on_arrival(
        limit in 1..10_u64,
        asks in prop::collection::vec((0..400_u64, 0..900_u64), 0..100),
    ) {
        let mut log = SlidingLog::new(limit, at(WINDOW_MS));
        let mut travelling: Vec<u64> = Vec::new();
        let mut arrived: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for (pause, journey) in asks {
            now += pause;
            travelling.sort_unstable();
            for due in travelling.extract_if(.., |due| *due <= now) {
                log.arrive(at(due), 1);
                arrived.push((due, 1));
            }
            if log.reserve(at(now), 1).is_ok() {
                travelling.push(now + journey);
            }
        }
        prop_assert!(busiest_window(&arrived) <= limit);
    }
}
