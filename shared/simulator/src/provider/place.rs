//! A request in hand.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    calls::{CallEnd, ModelCall},
    key::Key,
    limits::Past,
};

/// A request in hand. It ends when this is dropped: in full, with an error, or broken off.
#[derive(Debug)]
pub(crate) struct Place {
    key: Arc<Key>,
    number: u64,
    /// Its model, once that has let it in.
    model: Option<String>,
    ended: bool,
}

impl Place {
    pub(super) fn new(key: Arc<Key>, number: u64) -> Self {
        Self { key, number, model: None, ended: false }
    }

    /// Its prompt was read.
    pub(crate) fn read(&mut self, model: &str, mark: &str, tokens: u64, body: Bytes) -> Result<(), Past> {
        let (model, mark) = (model.to_owned(), mark.to_owned());
        let call = ModelCall { number: self.number, model, mark, input_tokens: tokens, ..ModelCall::default() };
        self.key.change(|state, now, _| state.read(now, &call, body))?;
        self.model = Some(call.model);
        Ok(())
    }

    /// A part of its answer was written.
    pub(crate) fn write(&self, tokens: u64) {
        let model = self.model.as_deref().unwrap_or_default();
        if tokens > 0 {
            self.key.change(|state, now, _| state.write(now, self.number, model, tokens));
        }
    }

    /// It was answered in full.
    pub(crate) fn answered(self) {
        self.end(CallEnd::Answered);
    }

    /// It was answered with an error.
    pub(crate) fn failed(self) {
        self.end(CallEnd::Failed);
    }

    /// A limit refused it after it had arrived.
    pub(crate) fn refused(self) {
        self.end(CallEnd::Refused);
    }

    fn end(mut self, end: CallEnd) {
        self.leave(end);
    }

    fn leave(&mut self, end: CallEnd) {
        self.ended = true;
        self.key.change(|state, _, at_us| {
            state.leave(at_us, self.number, self.model.as_deref(), end);
            match end {
                CallEnd::Answered => state.counts.answered += 1,
                CallEnd::Failed => state.counts.errors += 1,
                CallEnd::BrokenOff => state.counts.broken_off += 1,
                CallEnd::Open | CallEnd::Refused => {}
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.ended {
            self.leave(CallEnd::BrokenOff);
        }
    }
}
