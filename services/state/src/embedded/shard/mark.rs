//! The dirty mark: before the first CACHED acknowledgement the store must know that a crash may lose something.

/// What the store knows about this shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A crash loses nothing. The next CACHED write waits for the store, and marks it.
    Clean,
    /// The mark is in the log.
    Marking,
    /// CACHED writes are acknowledged at once.
    Dirty,
    /// The mark's end is in the log.
    Cleaning,
    /// A flush with the mark, or its end, failed. As clean for writes, as dirty for whoever cleans.
    Unsure,
}

impl Mark {
    /// Whether the store may hold the mark while nothing in the log changes it.
    pub(super) fn may_be_stored(self) -> bool {
        matches!(self, Self::Dirty | Self::Unsure)
    }

    /// Whether the next CACHED write has to carry the mark.
    pub(super) fn is_wanted(self) -> bool {
        matches!(self, Self::Clean | Self::Cleaning | Self::Unsure)
    }

    /// After a failed flush.
    pub(super) fn failed(self) -> Self {
        match self {
            Self::Marking | Self::Cleaning => Self::Unsure,
            settled => settled,
        }
    }
}
