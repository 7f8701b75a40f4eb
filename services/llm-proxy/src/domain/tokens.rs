//! Text counted in tokens: as the model itself counts them where that is known, in bytes elsewhere.

use std::{fmt, sync::OnceLock};

use tiktoken::CoreBpe;

use crate::config::Tokenizer;

/// Text is counted in pieces of so many bytes: a run without an end costs no more for its length.
const PIECE: usize = 4_096;
/// So much is counted whole; of what comes after it one piece in [`ONE_IN`], and the rest is taken to be like those.
const WHOLE: usize = 32 * 1_024;
const ONE_IN: usize = 16;
/// Hundredths of what a part says of the rest that the rest is taken to have.
const REST_PERCENT: u64 = 103;

/// How a model's text is made into tokens. It takes some megabytes and a tenth of a second to read, so it is read once,
/// ahead, and not known before.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    name: Option<&'static str>,
    read: OnceLock<Known>,
}

#[derive(Clone, Copy)]
struct Known(&'static CoreBpe);

/// Counts a text that comes in parts.
#[derive(Debug)]
pub(super) struct Counter {
    vocabulary: Option<Known>,
    bytes: u64,
    pieces: usize,
    whole: Counted,
    sample: Counted,
    rest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    bytes: u64,
    tokens: u64,
}

/// How much text there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Bytes(u64),
    Tokens(u64),
}

impl Vocabulary {
    /// The one that is configured; else the one that goes by the model's name.
    pub(super) fn of(tokenizer: Option<Tokenizer>, model: &str) -> Self {
        let name = match tokenizer {
            Some(Tokenizer::O200kBase) => Some("o200k_base"),
            Some(Tokenizer::Cl100kBase) => Some("cl100k_base"),
            Some(Tokenizer::Learned) => None,
            // Those who host others' models write the maker's name before them.
            None => tiktoken::model_to_encoding(model.rsplit('/').next().unwrap_or(model)),
        };
        Self { name, read: OnceLock::new() }
    }

    /// Reads it: not on a thread that serves calls.
    pub(super) fn read(&self) {
        if let Some(vocabulary) = self.name.and_then(tiktoken::get_encoding) {
            self.read.get_or_init(|| Known(vocabulary));
        }
    }

    pub(super) fn counter(&self) -> Counter {
        Counter {
            vocabulary: self.read.get().copied(),
            bytes: 0,
            pieces: 0,
            whole: Counted::default(),
            sample: Counted::default(),
            rest: 0,
        }
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary")
    }
}

impl Counter {
    pub(super) fn add(&mut self, mut text: &str) {
        self.bytes += text.len() as u64;
        let Some(Known(vocabulary)) = self.vocabulary else { return };
        while !text.is_empty() {
            let (piece, after) = text.split_at(text.floor_char_boundary(PIECE.min(text.len())));
            text = after;
            let counted = if self.whole.bytes < WHOLE as u64 {
                &mut self.whole
            } else {
                self.pieces += 1;
                if self.pieces % ONE_IN != 1 {
                    self.rest += piece.len() as u64;
                    continue;
                }
                &mut self.sample
            };
            counted.bytes += piece.len() as u64;
            counted.tokens += vocabulary.count(piece) as u64;
        }
    }

    pub(super) fn text(&self) -> Text {
        if self.vocabulary.is_none() {
            return Text::Bytes(self.bytes);
        }
        let Self { whole, sample, rest, .. } = *self;
        let like = (rest * sample.tokens * REST_PERCENT).div_ceil((sample.bytes * 100).max(1));
        Text::Tokens(whole.tokens + sample.tokens + like)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokenizer: Option<Tokenizer>, model: &str, text: &str) -> Text {
        let vocabulary = Vocabulary::of(tokenizer, model);
        vocabulary.read();
        let mut counter = vocabulary.counter();
        counter.add(text);
        counter.text()
    }

    #[test]
    fn known_models_count_as_their_makers_do() {
        // By OpenAI's own tiktoken.
        let text = "antidisestablishmentarianism, 東京 and 1234567 🙂";
        assert_eq!(tokens(None, "gpt-5-mini", "hello world"), Text::Tokens(2));
        assert_eq!(tokens(None, "openai/gpt-4o", "hello world"), Text::Tokens(2));
        assert_eq!(tokens(None, "claude-opus-5", text), Text::Bytes(text.len() as u64));
        assert_eq!(tokens(Some(Tokenizer::Learned), "gpt-5", text), Text::Bytes(text.len() as u64));
        let Text::Tokens(count) = tokens(Some(Tokenizer::Cl100kBase), "mine", text) else { panic!("it is known") };
        assert!((12..25).contains(&count), "{count}");
    }

    #[test]
    fn a_vocabulary_that_is_not_read_yet_counts_bytes() {
        let mut counter = Vocabulary::of(None, "gpt-5").counter();
        counter.add("hello");
        assert_eq!(counter.text(), Text::Bytes(5));
    }

    #[test]
    fn a_long_text_is_foretold_by_parts_of_it() {
        let part = include_str!("../../README.md");
        let once = tokens(None, "gpt-5", part);
        let (Text::Tokens(once), Text::Tokens(often)) = (once, tokens(None, "gpt-5", &part.repeat(100))) else {
            panic!("it is known")
        };
        let exact = once * 100;
        assert!(often >= exact * 98 / 100 && often <= exact * 110 / 100, "{often} for {exact}");
    }

    #[test]
    fn characters_are_never_cut() {
        assert!(matches!(tokens(None, "gpt-5", &"東".repeat(10_000)), Text::Tokens(1_000..20_000)));
    }
}
