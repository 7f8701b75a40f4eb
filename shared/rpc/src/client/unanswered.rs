use std::{error::Error as StdError, sync::Arc, time::Duration};

use tonic::{ConnectError, Status};

use crate::Error;

/// When to come back to a peer that cannot be reached: connections are tried anew with each call.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why a call has no answer: its own side says so, and no peer had a word in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no connection: nothing was sent, so nobody was asked.
    #[error("it was never sent")]
    NeverSent,
    /// The connection broke, and took every call on it along.
    #[error("the connection broke")]
    Broken,
}

impl Unanswered {
    /// Reads it from a status that a [`Channel`](crate::Channel) of this process gave. One that came over the wire has none.
    pub fn of(status: &Status) -> Option<Self> {
        status.source()?.downcast_ref().copied()
    }

    fn mark(self, error: Error) -> Status {
        let mut status = Status::from(error);
        status.set_source(Arc::new(self));
        status
    }
}

/// There is no connection to the peer, and none is tried before this time.
pub(super) fn not_reached(peer: &str, retry_after: Duration) -> Status {
    Unanswered::NeverSent.mark(Error::unavailable(format!("the {peer} cannot be reached"), retry_after))
}

/// A transport error as UNAVAILABLE. A connection that was never made has sent nothing.
pub(super) fn failed(peer: &str, error: &(dyn StdError + 'static)) -> Status {
    let wait = RETRY_AFTER.mul_f64(0.5 + rand::random::<f64>());
    if caused_by::<ConnectError>(error) {
        return not_reached(peer, wait);
    }
    let broke = Error::unavailable(format!("the connection to the {peer} broke"), wait).maybe_happened();
    Unanswered::Broken.mark(broke)
}

/// Whether an error comes of one of this kind.
pub(super) fn caused_by<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source())
        .any(|error| error.is::<E>())
}
