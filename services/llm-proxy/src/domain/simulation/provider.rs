//! The provider: what has really arrived, by a log of its own, in which both ends of a window count.

use std::{collections::VecDeque, time::Duration};

use crate::config::ModelLimits;

/// What one limit has seen.
#[derive(Debug, Default)]
struct Log(VecDeque<(Duration, u64)>);

impl Log {
    /// Notes it; what the window that ends now holds.
    fn note(&mut self, now: Duration, window: Duration, amount: u64) -> u64 {
        self.0.push_back((now, amount));
        while self.0.front().is_some_and(|(at, _)| *at + window < now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, amount)| amount).sum()
    }
}

/// One set of limits.
#[derive(Debug)]
struct Strict {
    limits: ModelLimits,
    requests: Log,
    tokens: Log,
    input: Log,
    output: Log,
    at_once: u32,
}

#[derive(Debug)]
pub(super) struct Key {
    own: Strict,
    /// For the first model.
    model: Strict,
    pub(super) revoked: bool,
    window: Duration,
}

impl Key {
    pub(super) fn new(own: ModelLimits, model: ModelLimits, window: Duration) -> Self {
        Self { own: Strict::new(own), model: Strict::new(model), revoked: false, window }
    }

    /// A request arrives: the limit that it is past.
    pub(super) fn arrive(&mut self, now: Duration, lane: u16, input: u64) -> Result<(), &'static str> {
        let window = self.window;
        self.books(lane).try_for_each(|book| book.arrive(now, window, input))
    }

    /// A part of an answer is there.
    pub(super) fn write(&mut self, now: Duration, lane: u16, output: u64) -> Result<(), &'static str> {
        let window = self.window;
        self.books(lane).try_for_each(|book| book.write(now, window, output))
    }

    /// A call is over.
    pub(super) fn end(&mut self, lane: u16) {
        self.books(lane).for_each(|book| book.at_once -= 1);
    }

    fn books(&mut self, lane: u16) -> impl Iterator<Item = &mut Strict> {
        std::iter::once(&mut self.own).chain((lane == 0).then_some(&mut self.model))
    }
}

impl Strict {
    fn new(limits: ModelLimits) -> Self {
        let [requests, tokens, input, output] = [(); 4].map(|()| Log::default());
        Self { limits, requests, tokens, input, output, at_once: 0 }
    }

    fn arrive(&mut self, now: Duration, window: Duration, read: u64) -> Result<(), &'static str> {
        self.at_once += 1;
        let requests = self.requests.note(now, window, 1);
        let (tokens, input) = (self.tokens.note(now, window, read), self.input.note(now, window, read));
        within(requests, self.limits.requests_per_minute.map(u64::from), "requests")?;
        within(self.at_once.into(), self.limits.concurrency.map(u64::from), "requests at once")?;
        within(tokens, self.limits.tokens_per_minute, "tokens")?;
        within(input, self.limits.input_tokens_per_minute, "input tokens")
    }

    fn write(&mut self, now: Duration, window: Duration, written: u64) -> Result<(), &'static str> {
        let (tokens, output) = (self.tokens.note(now, window, written), self.output.note(now, window, written));
        within(tokens, self.limits.tokens_per_minute, "tokens")?;
        within(output, self.limits.output_tokens_per_minute, "output tokens")
    }
}

fn within(holds: u64, most: Option<u64>, what: &'static str) -> Result<(), &'static str> {
    if most.is_some_and(|most| holds > most) { Err(what) } else { Ok(()) }
}
