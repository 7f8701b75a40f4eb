//! The newest calls of a key, each with its times: what a proof measures by.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One call, as the provider saw it. Times are in microseconds of the provider's own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Its place among the calls of this key, from 0.
    pub number: u64,
    /// When its head arrived.
    pub at_us: u64,
    /// The model; empty where its body was not looked at.
    pub model: String,
    /// What the caller wrote on it: `metadata.mark`, `metadata.user_id` or `user`.
    pub mark: String,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written so far.
    pub output_tokens: u64,
    /// When it ended: answered just before its last byte went out, broken off when the connection was seen to be closed.
    pub ended_us: Option<u64>,
    /// How it ended.
    pub end: CallEnd,
    /// The limit that refused it.
    pub refused_by: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// Not yet.
    #[default]
    Open,
    /// In full.
    Answered,
    /// Past a limit.
    Refused,
    /// With another error.
    Failed,
    /// The caller went away, or a fault cut the answer.
    BrokenOff,
}

/// The newest calls, up to so many.
#[derive(Debug)]
pub(crate) struct Calls {
    kept: VecDeque<ModelCall>,
    /// The number of the next.
    next: u64,
    most: usize,
}

impl Calls {
    pub(crate) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), next: 0, most }
    }

    /// Notes a call that arrives, and gives its number.
    pub(crate) fn arrive(&mut self, at_us: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        self.kept.push_back(ModelCall { number, at_us, ..ModelCall::default() });
        if self.kept.len() > self.most {
            self.kept.pop_front();
        }
        number
    }

    /// Notes something of a call that is still kept.
    pub(crate) fn note(&mut self, number: u64, note: impl FnOnce(&mut ModelCall)) {
        let place = self.kept.front().and_then(|first| number.checked_sub(first.number));
        if let Some(call) = place.and_then(|place| self.kept.get_mut(place as usize)) {
            note(call);
        }
    }

    pub(crate) fn all(&self) -> Vec<ModelCall> {
        self.kept.iter().cloned().collect()
    }

    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_calls_are_kept() {
        let mut calls = Calls::new(2);
        let numbers: Vec<_> = (0..3).map(|at| calls.arrive(at)).collect();
        numbers.iter().for_each(|number| calls.note(*number, |call| call.end = CallEnd::Answered));
        let kept: Vec<_> = calls.all().into_iter().map(|call| (call.number, call.end)).collect();
        assert_eq!(kept, [(1, CallEnd::Answered), (2, CallEnd::Answered)]);
    }
}
