//! Faults that the simulation plants in this decider, each one rule left out, to see that it is caught.

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The knowledge of who decides is believed though it has run out.
    LeaseUnchecked,
    /// Who decides is changed before everybody's knowledge has run out.
    EagerChange,
    /// The store takes a log's entries wherever it stands.
    PositionUnchecked,
    /// A fill takes its ticket after it has read.
    NoTicket,
    /// What is not stored yet is marked as stored.
    MarkBeforeCommit,
    /// CACHED writes are taken before the store is marked.
    ArmBeforeMark,
    /// Readers see DURABLE writes that are not stored.
    EarlyVisible,
    /// A fence that rises leaves its older copies as they are.
    CopyKept,
    /// Another life of the place is taken for the one before it.
    IdentityUnchecked,
    /// An epoch that ended with loss is said to have ended without.
    LossHidden,
}

/// Which one is planted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    #[cfg(any(test, feature = "planted-faults"))]
    planted: Option<Fault>,
}

impl Faults {
    /// With this one planted.
    #[cfg(any(test, feature = "planted-faults"))]
    pub fn plant(fault: Option<Fault>) -> Self {
        Self { planted: fault }
    }

    /// Whether this one is.
    #[cfg(any(test, feature = "planted-faults"))]
    pub fn has(self, fault: Fault) -> bool {
        self.planted == Some(fault)
    }

    /// None ever is.
    #[cfg(not(any(test, feature = "planted-faults")))]
    pub fn has(self, _fault: Fault) -> bool {
        false
    }
}
