//! Answers on their way to those who read them, or do not.
//!
//! What comes from a service behind is read at once, whoever it is for: one reader who stands still would fill the window
//! of the connection that all share. So each answer has a buffer of its own, and all of them together an allowance. Who
//! leaves more unread is dropped with a word, and what was buffered with it; so is who takes nothing of what there is, since
//! what one holds of the allowance is missing to all.

mod pipe;

use std::sync::Arc;
use std::time::Duration;

use http_body::{Body as _, Frame};
use tonic::body::Body;

use crate::admission::Place;
use crate::allowance::{Account, Share};

/// What becomes of a reader at the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    /// It goes: a stream of events can be read on from any offset.
    Dropped,
    /// It gets the time that anybody may stand still: an answer that cannot be asked for again, or a worker with much to take over.
    WaitedFor,
}

/// The bounds.
#[derive(Clone, Debug)]
pub(crate) struct Outflow {
    /// What one reader may leave unread.
    unread_max: usize,
    /// What all of them may.
    all: Arc<Account>,
    /// How long any of them may take nothing of what is unread.
    slow_max: Duration,
}

impl Outflow {
    pub(crate) fn new(unread_max: usize, unread_bytes_max: usize, slow_max: Duration) -> Self {
        Self { unread_max, all: Account::new(unread_bytes_max), slow_max }
    }

    /// A body that is read as it comes and kept for its reader. `place` is held until it is over.
    pub(crate) fn keep(&self, body: Body, slow: Slow, place: Place) -> Body {
        match body.is_end_stream() {
            true => body,
            false => Body::new(pipe::open(self.clone(), body, slow, place)),
        }
    }

    /// What a call's tenant may leave unread, in all of its answers.
    pub(crate) fn share(&self, place: &Place) -> Share {
        Share { all: self.all.clone(), own: place.unread().clone() }
    }
}

fn bytes(frame: &Frame<bytes::Bytes>) -> usize {
    frame.data_ref().map_or(0, bytes::Bytes::len)
}
