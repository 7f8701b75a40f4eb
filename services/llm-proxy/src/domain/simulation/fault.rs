//! Faults planted on purpose, to see that the simulation finds them.

use std::cell::Cell;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Each window begins anew, instead of sliding.
    FixedWindow,
    /// A request counts from its sending, not from its arrival.
    ArrivalAtSending,
    /// What a call turns out to use is not settled.
    SettlementForgotten,
    /// All tenants have the same weight.
    WeightIgnored,
    /// Priorities hold for ever.
    PriorityWithoutAgeing,
    /// Nobody wakes up by time alone.
    LostWakeUp,
    /// A place is given to the next before its call is over.
    PlaceGivenTwice,
    /// A key rests half as long as it was told to.
    CoolDownShortened,
    /// Nobody looks at deadlines before they have passed.
    RefusedTooLate,
    /// Who was away has all that the others had meanwhile.
    CreditForIdling,
    /// What an earlier process sent is not known.
    RestartForgets,
    /// A caller that went away stays in line.
    GhostInLine,
}

thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Planted until this is dropped.
pub(super) struct Planted;

pub(super) fn plant(fault: Fault) -> Planted {
    PLANTED.set(Some(fault));
    Planted
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

/// The one fault that sits inside of the line.
pub(in crate::domain) fn credit_for_idling() -> bool {
    PLANTED.get() == Some(Fault::CreditForIdling)
}
