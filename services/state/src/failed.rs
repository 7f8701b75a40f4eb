use std::time::Duration;

use holdfast_storage::{Class, Failure};

use crate::{domain::Standing, store::Unstored, write::Refusal};

/// Why the service did not do what it was asked.
#[derive(Debug, Clone)]
pub enum Failed {
    /// The write was judged and not taken.
    Refused(Box<Refusal>),
    /// The lease is superseded, or too old to tell.
    Fenced(Standing),
    /// The store is in trouble.
    Store(Unstored),
    /// Too much waits for the store.
    Full {
        /// When to come back.
        retry_after: Duration,
    },
    /// The lock is another's, and the wait for it is over.
    LockHeld {
        /// When to come back.
        retry_after: Duration,
    },
    /// The history does not go back so far: read again, and watch from there.
    HistoryGone,
    /// Another place decides now, and this one knows nothing of it.
    Elsewhere,
    /// The service is ending; whether a write that was on its way is stored cannot be said.
    Closed {
        /// Whether there was one.
        in_doubt: bool,
    },
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure.class() {
            Class::Closed => Self::Closed { in_doubt: false },
            _ => Self::Store(Unstored { failure, in_doubt: false }),
        }
    }
}
