//! The record of a call, as it lives in the state service, and what a repeat of the call makes of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Answer, Outcome};

/// Clocks of two machines may differ by so much before a repeat is misled by it.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// What is known of a call. JSON, so that operators can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) tool: String,
    /// What makes it this call and no other.
    pub(crate) fingerprint: String,
    /// Set before an effectful call is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Intent>,
    /// The first recorded outcome: it stays the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
    /// What became known after the outcome had been given up as unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) later_truth: Option<Answer>,
}

/// An effectful call is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// Wall time, in microseconds since 1970.
    pub(crate) at_us: i64,
    /// How long the call may take before its outcome counts as lost.
    pub(crate) patience_ms: u64,
}

/// What a repeat finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Another call was made at this place.
    OtherCall,
    /// The answer that every repeat gets.
    Answered(Box<Answer>),
    /// It was about to be sent: it may still be under way for so long.
    UnderWay(Duration),
    /// It was about to be sent, and nobody has told what became of it.
    Lost,
}

impl Record {
    pub(crate) fn new(tool: &str, fingerprint: &str) -> Self {
        Self { tool: tool.into(), fingerprint: fingerprint.into(), intent: None, answer: None, later_truth: None }
    }

    /// What a repeat with this fingerprint finds, `waited` after it first looked. It goes by its own waiting, however the
    /// clocks stand: only an intent that has been over for longer than clocks are apart is not waited for again, so that
    /// those who cannot wait for so long come to an end too.
    pub(crate) fn find(&self, fingerprint: &str, now_us: i64, waited: Duration) -> Finding {
        if self.fingerprint != fingerprint {
            return Finding::OtherCall;
        }
        if let Some(answer) = &self.answer {
            return Finding::Answered(Box::new(answer.clone()));
        }
        let Some(intent) = self.intent else {
            return Finding::Lost;
        };
        let patience = Duration::from_millis(intent.patience_ms);
        let age = Duration::from_micros(u64::try_from(now_us.saturating_sub(intent.at_us)).unwrap_or(0));
        let left = patience.saturating_sub(waited).min((patience + CLOCKS_APART).saturating_sub(age));
        if left.is_zero() { Finding::Lost } else { Finding::UnderWay(left) }
    }

    /// The record with an outcome. The first one stays; what becomes known after it was given up is attached. `None`
    /// where there is nothing to add.
    pub(crate) fn settled(mut self, outcome: &Answer) -> Option<Self> {
        match &self.answer {
            None => self.answer = Some(outcome.clone()),
            Some(first) if first.outcome == Outcome::Unknown && outcome.outcome != Outcome::Unknown => {
                if self.later_truth.is_some() {
                    return None;
                }
                self.later_truth = Some(outcome.clone());
            }
            Some(_) => return None,
        }
        Some(self)
    }
}

/// In a record, a byte of an answer takes at most so many: as text, which JSON escapes, or as base64.
pub const RECORDED_BYTES_PER_BYTE: usize = 2;

/// Content as text where it is text, else as base64. So is text with such characters as JSON writes with six.
pub(super) mod content {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Content<'a> {
        Text(std::borrow::Cow<'a, str>),
        Base64(String),
    }

    pub(in crate::domain) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.bytes().any(is_long) => Content::Text(text.into()).serialize(serializer),
            _ => Content::Base64(STANDARD.encode(bytes)).serialize(serializer),
        }
    }

    /// Whether JSON has no short escape for it that people read as what it is.
    fn is_long(byte: u8) -> bool {
        byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Content::deserialize(deserializer)? {
            Content::Text(text) => Ok(text.into_owned().into()),
            Content::Base64(text) => STANDARD.decode(text).map(Bytes::from).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn intended() -> Record {
        let intent = Intent { at_us: 100 * SECOND_US, patience_ms: 10_000 };
        Record { intent: Some(intent), ..Record::new("pay", "f") }
    }

    fn answer(outcome: Outcome) -> Answer {
        Answer::made(outcome, &serde_json::json!({"ok": true}), "")
    }

    #[test]
    fn another_call_at_the_same_place_is_found_out() {
        assert_eq!(intended().find("g", 0, Duration::ZERO), Finding::OtherCall);
    }

    #[test]
    fn an_intent_counts_as_under_way_for_the_calls_patience() {
        let found = intended().find("f", 103 * SECOND_US, Duration::from_secs(3));
        assert_eq!(found, Finding::UnderWay(Duration::from_secs(7)));
        assert_eq!(intended().find("f", 110 * SECOND_US, Duration::from_secs(10)), Finding::Lost);
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_make_a_repeat_give_up_a_call_that_may_be_under_way() {
        let found = intended().find("f", 160 * SECOND_US, Duration::ZERO);
        assert_eq!(found, Finding::UnderWay(Duration::from_secs(10)));
    }

    #[test]
    fn what_has_been_over_for_long_is_not_waited_for_by_each_repeat_anew() {
        assert_eq!(intended().find("f", 170 * SECOND_US, Duration::ZERO), Finding::Lost);
        assert_eq!(intended().find("f", i64::MAX, Duration::ZERO), Finding::Lost);
    }

    #[test]
    fn a_clock_that_runs_behind_cannot_keep_a_repeat_waiting_for_ever() {
        let found = intended().find("f", 0, Duration::from_secs(4));
        assert_eq!(found, Finding::UnderWay(Duration::from_secs(6)));
        assert_eq!(intended().find("f", 0, Duration::from_secs(10)), Finding::Lost);
    }

    #[test]
    fn the_first_outcome_stays_the_answer_and_a_later_truth_is_attached() {
        let lost = intended().settled(&answer(Outcome::Unknown)).expect("the first outcome");
        let told = lost.settled(&answer(Outcome::Real)).expect("a truth to attach");
        assert_eq!(told.answer.as_ref().map(|answer| answer.outcome), Some(Outcome::Unknown));
        assert_eq!(told.later_truth.as_ref().map(|answer| answer.outcome), Some(Outcome::Real));
        assert_eq!(told.settled(&answer(Outcome::Real)), None);
        let done = intended().settled(&answer(Outcome::Real)).expect("the first outcome");
        assert_eq!(done.settled(&answer(Outcome::Unknown)), None);
    }

    #[test]
    fn a_record_survives_the_store_whatever_the_content() {
        for content in [&b"{\"a\":1}"[..], b"\xff\x00", b"a\x00b", b"\t\r\n\x7f\\"] {
            let mut real = answer(Outcome::Real);
            real.content = bytes::Bytes::copy_from_slice(content);
            let record = intended().settled(&real).expect("the first outcome");
            let text = serde_json::to_vec(&record).expect("plain data");
            assert_eq!(serde_json::from_slice::<Record>(&text).expect("our own"), record);
        }
    }

    #[test]
    fn an_answer_of_whatever_bytes_takes_no_more_of_a_record_than_it_may() {
        const BYTES: usize = 30_000;
        for byte in 0..=u8::MAX {
            let mut largest = answer(Outcome::Real);
            largest.content = vec![byte; BYTES].into();
            let empty = Answer { content: bytes::Bytes::new(), ..largest.clone() };
            let bytes = |answer| {
                let record = intended().settled(answer).expect("the first outcome");
                serde_json::to_vec(&record).expect("plain data").len()
            };
            let taken = bytes(&largest) - bytes(&empty);
            assert!(taken <= BYTES * RECORDED_BYTES_PER_BYTE + "base64".len(), "{byte:#x} took {taken}");
        }
    }
}
