//! What an operator said of a circuit.

use holdfast_resilience::breaker::Mode;
use serde::{Deserialize, Serialize};

/// The last word of an operator. Of two, the one with the larger stamp counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    /// Who decides from now on.
    pub(crate) mode: Mode,
    /// Who said it.
    pub(crate) by: String,
    /// Why, in the operator's words; may be empty.
    pub(crate) why: String,
    /// Wall time in microseconds, or one more than the stamp of the word before: the state service, which takes one word
    /// after the other, makes them rise.
    pub(crate) stamp: i64,
}

impl Word {
    /// The same, stamped as a later word than these.
    pub(super) fn after(self, now_micros: i64, others: &[Option<&Self>]) -> Self {
        let before = others.iter().flatten().map(|word| word.stamp.saturating_add(1)).max();
        Self { stamp: before.map_or(now_micros, |before| before.max(now_micros)), ..self }
    }
}

/// The stamp of what may not have been said.
pub(super) fn stamp(word: Option<&Word>) -> i64 {
    word.map_or(0, |word| word.stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(stamp: i64) -> Word {
        Word { mode: Mode::Auto, by: "a".into(), why: String::new(), stamp }
    }

    #[test]
    fn a_later_word_has_a_larger_stamp_whatever_the_clock_says() {
        assert_eq!(word(0).after(100, &[None, Some(&word(7))]).stamp, 100);
        assert_eq!(word(0).after(100, &[Some(&word(500)), None]).stamp, 501);
    }
}
