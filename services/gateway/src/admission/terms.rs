use std::collections::HashMap;
use std::time::Duration;

use holdfast_config::{Invalid, Tenants};
use holdfast_resilience::TokenBucket;

/// Rates are kept as calls in so long, so that a thousandth of a call in a second can be said.
const PERIOD: Duration = Duration::from_secs(1_000);

/// What one tenant may do. A number that limits nothing is the largest there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Terms {
    /// Calls in a second.
    pub(crate) rate: Option<f64>,
    /// Calls at once before the rate holds.
    pub(crate) burst: u32,
    /// Calls in hand, those that wait not counted.
    pub(crate) calls_max: usize,
    /// Calls that wait: for an invocation's end, or for events.
    pub(crate) waits_max: usize,
    /// Workers' streams, and calls that wait for a lease.
    pub(crate) workers_max: usize,
    /// Calls under a lease in hand.
    pub(crate) leased_max: usize,
    /// Bytes of requests that are being read; and again, of those on their way to the queue.
    pub(crate) request_bytes_max: usize,
    /// Bytes of answers that nobody has read yet.
    pub(crate) unread_bytes_max: usize,
}

impl Terms {
    /// Nothing is limited.
    #[cfg(test)]
    pub(crate) const WIDE: Self = Self {
        rate: None,
        burst: 1,
        calls_max: usize::MAX,
        waits_max: usize::MAX,
        workers_max: usize::MAX,
        leased_max: usize::MAX,
        request_bytes_max: usize::MAX,
        unread_bytes_max: usize::MAX,
    };

    /// Calls under a lease, heartbeats and reports in hand: these go on where the others have taken all.
    pub(super) fn reports_max(&self) -> usize {
        self.leased_max.saturating_add(self.leased_max.div_ceil(8))
    }

    pub(super) fn bucket(&self) -> Option<TokenBucket> {
        let refill = (self.rate? * PERIOD.as_secs_f64()).round().max(1.0);
        Some(TokenBucket::new(self.burst.into(), refill as u64, PERIOD))
    }
}

/// What all tenants together may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Calls that wait for an invocation's end, or for events.
    pub(crate) waits_max: usize,
    /// Workers' streams, and calls that wait for a lease.
    pub(crate) workers_max: usize,
}

/// The terms of every tenant.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    default: Terms,
    single: HashMap<String, Terms>,
}

impl Agreed {
    /// The default, and what `[tenants.NAME]` says otherwise.
    pub(crate) fn new(default: Terms, tenants: &Tenants) -> Self {
        let terms = tenants.iter().map(|(name, tenant)| {
            let rate = tenant.rate.or(default.rate);
            let burst = match (tenant.burst, tenant.rate) {
                (Some(burst), _) => burst,
                (None, Some(rate)) => burst_of(rate),
                (None, None) => default.burst,
            };
            let calls_max = tenant.concurrency.map_or(default.calls_max, |calls| calls as usize);
            (name.to_owned(), Terms { rate, burst, calls_max, ..default })
        });
        Self { default, single: terms.collect() }
    }

    #[cfg(test)]
    pub(crate) fn same_for_all(terms: Terms) -> Self {
        Self { default: terms, single: HashMap::new() }
    }

    pub(super) fn of(&self, tenant: &str) -> Terms {
        self.single.get(tenant).copied().unwrap_or(self.default)
    }

    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// A tenant with a burst, and no rate that it could precede.
    pub(crate) fn validate(default_rate: Option<f64>, tenants: &Tenants) -> Result<(), Invalid> {
        let idle = |(_, tenant): &(&str, &holdfast_config::Tenant)| {
            tenant.burst.is_some() && tenant.rate.or(default_rate).is_none()
        };
        match tenants.iter().find(idle) {
            Some((name, _)) => {
                let why = "does nothing without a rate: add one here, or gateway.tenant_rate";
                Err(Invalid::new(format!("tenants.{name}.burst"), why))
            }
            None => Ok(()),
        }
    }
}

/// One second's calls, where no burst is named.
pub(crate) fn burst_of(rate: f64) -> u32 {
    rate.ceil().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use holdfast_config::{Common, Document};

    use super::*;

    const DEFAULT: Terms = Terms { calls_max: 100, waits_max: 10, ..Terms::WIDE };

    #[test]
    fn a_tenants_own_terms_stand_before_the_default() {
        let text = "[tenants.big]\nrate = 2.5\nconcurrency = 7\n[tenants.other]\nrate = 10.0\nburst = 30\n";
        let tenants = Common::from_document(&Document::parse("t.toml", text, []).unwrap()).unwrap().tenants;
        let agreed = Agreed::new(DEFAULT, &tenants);
        assert_eq!(agreed.of("big"), Terms { rate: Some(2.5), burst: 3, calls_max: 7, ..DEFAULT });
        assert_eq!(agreed.of("other"), Terms { rate: Some(10.0), burst: 30, ..DEFAULT });
        assert_eq!(agreed.of("anybody"), DEFAULT);
    }

    #[test]
    fn a_rate_below_one_in_a_second_is_kept() {
        let mut bucket = Terms { rate: Some(0.01), ..DEFAULT }.bucket().expect("a rate");
        bucket.try_take(Duration::ZERO, 1).expect("full at first");
        let refused = bucket.try_take(Duration::ZERO, 1).expect_err("empty");
        assert_eq!(refused, holdfast_resilience::bucket::Refusal::Wait(Duration::from_secs(100)));
    }
}
