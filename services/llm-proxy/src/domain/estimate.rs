//! What a call will cost in tokens, before the provider says it: of one upstream model, learned from what it said of others.
//!
//! What is set aside too little was sent past the limit, so both ways err on the safe side: of what was seen lately, nearly
//! all would have fitted.

mod learned;
mod prompt;

use parking_lot::Mutex;

use self::{learned::Learned, prompt::Prompt};
use super::{
    chat::{Ask, Usage},
    pool::Need,
    tokens::{Text, Vocabulary},
};
use crate::config::Tokenizer;

/// Tokens of a byte until it is known: English has a quarter, Chinese nearly a half.
const PER_BYTE: Learned = Learned::new(0.4, (0.125, 1.0), 1.05);
/// Tokens of a token: providers frame text by more than it shows.
const PER_TOKEN: Learned = Learned::new(1.0, (0.8, 2.0), 1.02);
/// Tokens of an answer whose length nobody limits.
const ANSWER: Learned = Learned::new(1_024.0, (64.0, 200_000.0), 1.1);
/// Shorter prompts show their frame, and little of their text.
const TEXT_MIN: u64 = 32;

/// Learns what the calls to one upstream model cost.
#[derive(Debug)]
pub(crate) struct Estimator {
    vocabulary: Vocabulary,
    learned: Mutex<Rates>,
}

#[derive(Debug)]
struct Rates {
    per_byte: Learned,
    per_token: Learned,
    answer: Learned,
}

/// What a call is thought to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) need: Need,
    text: Text,
    /// What is neither text nor learned.
    beside: u64,
    /// Something beside the text is only guessed at.
    guessed: bool,
    /// Nobody limits the answer.
    open: bool,
}

impl Estimator {
    /// Of a model by the name that the provider gives it.
    pub(crate) fn new(tokenizer: Option<Tokenizer>, upstream: &str) -> Self {
        let learned = Rates { per_byte: PER_BYTE, per_token: PER_TOKEN, answer: ANSWER };
        Self { vocabulary: Vocabulary::of(tokenizer, upstream), learned: Mutex::new(learned) }
    }

    /// Reads the model's vocabulary, where it has one that is known: it takes a moment. Until then bytes are counted.
    pub(crate) fn prepare(&self) {
        self.vocabulary.read();
    }

    /// What a call will cost whose answer has so many tokens at most.
    pub(crate) fn estimate(&self, ask: &Ask, most: Option<u32>) -> Estimate {
        let prompt = Prompt::read(&ask.fields, self.vocabulary.counter());
        let learned = self.learned.lock();
        let text = match prompt.text {
            Text::Bytes(bytes) => learned.per_byte.of(bytes),
            Text::Tokens(tokens) => learned.per_token.of(tokens),
        };
        let answer = most.map_or_else(|| learned.answer.of(1), u64::from);
        let need =
            Need { input: text.saturating_add(prompt.beside).max(1), output: answer.saturating_mul(prompt.answers) };
        let Prompt { text, beside, guessed, .. } = prompt;
        Estimate { need, text, beside, guessed, open: most.is_none() && prompt.answers == 1 }
    }

    /// What a call did cost, as the provider counts.
    pub(crate) fn observe(&self, estimate: &Estimate, used: Usage) {
        let mut learned = self.learned.lock();
        if used.input_tokens > 0 && !estimate.guessed {
            let tokens = used.input_tokens.saturating_sub(estimate.beside) as f64;
            match estimate.text {
                Text::Bytes(bytes) if bytes >= TEXT_MIN => learned.per_byte.see(tokens / bytes as f64),
                Text::Tokens(counted) if counted >= TEXT_MIN => learned.per_token.see(tokens / counted as f64),
                Text::Bytes(_) | Text::Tokens(_) => {}
            }
        }
        if used.output_tokens > 0 && estimate.open {
            learned.answer.see(used.output_tokens as f64);
        }
    }
}

impl Estimate {
    /// What the provider reads at the very least: no text has more bytes to a token over any length that matters.
    pub(crate) fn input_at_least(&self) -> u64 {
        match self.text {
            Text::Bytes(bytes) => bytes / 8,
            // Long texts are counted in part.
            Text::Tokens(tokens) => tokens / 10 * 9,
        }
    }
}

#[cfg(test)]
mod tests;
