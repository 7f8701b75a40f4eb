//! Fences: which lease may write within a session (or a lone invocation).

use std::sync::Arc;

/// The fence that counts in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// It only rises.
    pub number: u64,
    /// The lease that holds it; `None` where it was raised from outside, so that nobody does.
    pub lease: Option<Arc<str>>,
}

/// What a lease token is to the fence that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds the fence.
    Holds,
    /// It is newer, and is to be registered first.
    Newer,
    /// A newer one counts, or another lease has the same.
    Superseded,
    /// It is from before what is remembered.
    TooOld,
}

/// Judges a token. `floor` is the oldest fence that is remembered: what is below it may have been superseded by a fence
/// that is forgotten.
pub fn standing(held: Option<&Fence>, floor: u64, number: u64, lease: &str) -> Standing {
    if number < floor {
        return Standing::TooOld;
    }
    match held {
        None => Standing::Newer,
        Some(held) if number > held.number => Standing::Newer,
        Some(held) if number == held.number && held.lease.as_deref() == Some(lease) => Standing::Holds,
        Some(_) => Standing::Superseded,
    }
}

impl Fence {
    /// Whether it takes the place of another: it is higher, or ends the lease that holds the same.
    pub fn supersedes(&self, held: &Self) -> bool {
        self.number > held.number || (self.number == held.number && self.lease.is_none() && held.lease.is_some())
    }
}

/// The fence after ending every lease up to `number`; `None` where nothing changes.
pub fn raise(held: Option<&Fence>, number: u64) -> Option<Fence> {
    let raised = Fence { number, lease: None };
    match held {
        Some(held) if held.number > number || *held == raised => None,
        _ => Some(raised),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(number: u64, lease: &str) -> Fence {
        Fence { number, lease: Some(lease.into()) }
    }

    #[test]
    fn an_equal_fence_of_another_lease_is_refused() {
        let fence = held(5, "a");
        assert_eq!(standing(Some(&fence), 0, 5, "a"), Standing::Holds);
        assert_eq!(standing(Some(&fence), 0, 5, "b"), Standing::Superseded);
        assert_eq!(standing(Some(&fence), 0, 6, "b"), Standing::Newer);
        assert_eq!(standing(None, 6, 5, "a"), Standing::TooOld);
    }

    #[test]
    fn raising_ends_the_lease_that_holds_the_same_fence() {
        let raised = raise(Some(&held(5, "a")), 5).expect("the lease is ended");
        assert_eq!(standing(Some(&raised), 0, 5, "a"), Standing::Superseded);
        assert_eq!(raise(Some(&raised), 5), None);
        assert_eq!(raise(Some(&held(7, "a")), 5), None);
    }

    proptest! {
        /// Whatever comes in whatever order: the fence never falls, and no lease below it ever holds.
        #[test]
        fn a_fence_only_rises(events in prop::collection::vec((0_u64..9, 0_u8..3, any::<bool>()), 1..60)) {
            let mut fence: Option<Fence> = None;
            let mut highest = 0;
            for (number, lease, raises) in events {
                let lease = lease.to_string();
                let said = standing(fence.as_ref(), 0, number, &lease);
                if number < highest {
                    prop_assert_eq!(said, Standing::Superseded);
                }
                if raises {
                    fence = raise(fence.as_ref(), number).or(fence);
                } else if said == Standing::Newer {
                    fence = Some(held(number, &lease));
                }
                let now = fence.as_ref().map_or(0, |fence| fence.number);
                prop_assert!(now >= highest);
                highest = now;
            }
        }
    }
}
