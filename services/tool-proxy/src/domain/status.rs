//! What an HTTP status says about a call and about the tool's health, as its operator has it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::{Effect, Miss, Outcome};

/// One status, or a hundred of them: `"404"`, `"5xx"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(u16),
    /// All that begin with this digit.
    Hundred(u16),
}

impl Statuses {
    /// How exactly a status is meant: not at all, among a hundred, or itself.
    const fn meant(self, status: u16) -> u8 {
        match self {
            Self::One(one) if one == status => 2,
            Self::Hundred(first) if first == status / 100 => 1,
            _ => 0,
        }
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |number: u16, from, to| (from..=to).contains(&number).then_some(number);
        let found = match text.strip_suffix("xx") {
            Some(first) => first.parse().ok().and_then(|first| known(first, 2, 5)).map(Self::Hundred),
            None => text.parse().ok().and_then(|status| known(status, 200, 599)).map(Self::One),
        };
        found.ok_or_else(|| format!("{text:?} is no status: write \"404\", or \"5xx\" for all that begin with 5"))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Hundred(first) => write!(f, "{first}xx"),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The tool has spoken: its body is the answer.
    Answered {
        /// REAL or TOOL_ERROR.
        outcome: Outcome,
        /// Whether it shows a tool in health.
        healthy: bool,
    },
    /// The tool failed; no body counts.
    Failed(Miss),
}

/// How a tool's statuses are read. What means a status more exactly decides; validation sees to it that nothing means one
/// twice.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The tool failed.
    pub(crate) failures: Vec<Statuses>,
    /// The tool says that it cannot do this.
    pub(crate) errors: Vec<Statuses>,
    /// Failures that tell nothing of its health.
    pub(crate) healthy: Vec<Statuses>,
    pub(crate) effect: Effect,
}

impl Reading {
    /// 2xx is an answer where nothing else is said, and what nobody mentions is a failure. A refusal for the moment
    /// (408, 429) is a failure too, but to an effectful call it says surely that nothing was done, and nothing may stand
    /// in for what was sent: so there it is the answer.
    pub(crate) fn judge(&self, status: u16) -> Verdict {
        let (failure, error) = (meant(&self.failures, status), meant(&self.errors, status));
        if error > failure {
            return Verdict::Answered { outcome: Outcome::ToolError, healthy: true };
        }
        if failure == 0 && status / 100 == 2 {
            return Verdict::Answered { outcome: Outcome::Real, healthy: true };
        }
        let healthy = meant(&self.healthy, status) > 0;
        if matches!(status, 408 | 429) && self.effect == Effect::Effectful {
            return Verdict::Answered { outcome: Outcome::ToolError, healthy };
        }
        let miss = Miss { healthy, ..Miss::left(format!("HTTP_{status}")) };
        Verdict::Failed(if matches!(status, 502..=504) && !healthy { miss.of_the_host() } else { miss })
    }

    /// What is said to be a failure and an answer at once.
    pub(crate) fn contradiction(&self) -> Option<Statuses> {
        self.failures.iter().copied().find(|statuses| self.errors.contains(statuses))
    }
}

fn meant(all: &[Statuses], status: u16) -> u8 {
    all.iter().map(|statuses| statuses.meant(status)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<Statuses> {
        texts.iter().map(|text| text.parse().expect("a status")).collect()
    }

    fn plain(effect: Effect) -> Reading {
        let failures = all(&["3xx", "408", "429", "5xx"]);
        Reading { failures, errors: all(&["4xx"]), healthy: Vec::new(), effect }
    }

    fn outcome(verdict: Verdict) -> Option<(Outcome, bool)> {
        match verdict {
            Verdict::Answered { outcome, healthy } => Some((outcome, healthy)),
            Verdict::Failed(_) => None,
        }
    }

    #[test]
    fn a_tools_own_error_is_an_answer_and_no_failure() {
        assert_eq!(outcome(plain(Effect::ReadOnly).judge(404)), Some((Outcome::ToolError, true)));
        assert_eq!(outcome(plain(Effect::ReadOnly).judge(204)), Some((Outcome::Real, true)));
    }

    #[test]
    fn failures_count_against_the_tool_and_those_of_a_gateway_against_its_host() {
        for status in [301, 408, 429, 500, 501, 502, 503, 504, 599] {
            let Verdict::Failed(miss) = plain(Effect::Idempotent).judge(status) else {
                panic!("{status} is a failure")
            };
            let told = (miss.reason.as_str(), miss.left, miss.healthy, miss.host_failed);
            let host = (502..=504).contains(&status);
            assert_eq!(told, (format!("HTTP_{status}").as_str(), true, false, host));
        }
    }

    #[test]
    fn a_refusal_for_the_moment_is_what_an_effectful_call_is_told() {
        assert_eq!(outcome(plain(Effect::Effectful).judge(429)), Some((Outcome::ToolError, false)));
        assert!(matches!(plain(Effect::Effectful).judge(503), Verdict::Failed(Miss { left: true, .. })));
    }

    #[test]
    fn the_more_exact_word_decides() {
        let mut reading = plain(Effect::ReadOnly);
        reading.failures = all(&["5xx", "429", "403"]);
        reading.errors = all(&["4xx", "501"]);
        reading.healthy = all(&["429"]);
        assert_eq!(outcome(reading.judge(403)), None, "403 is named among the failures");
        assert_eq!(outcome(reading.judge(501)), Some((Outcome::ToolError, true)), "501 is named among the answers");
        assert_eq!(outcome(reading.judge(408)), Some((Outcome::ToolError, true)));
        assert_eq!(outcome(reading.judge(302)), None, "what nobody mentions is a failure");
        assert!(matches!(reading.judge(429), Verdict::Failed(Miss { healthy: true, .. })));
    }

    #[test]
    fn what_is_said_twice_is_found_out() {
        let mut reading = plain(Effect::ReadOnly);
        assert_eq!(reading.contradiction(), None);
        reading.errors = all(&["404", "5xx"]);
        assert_eq!(reading.contradiction(), Some(Statuses::Hundred(5)));
    }

    #[test]
    fn only_statuses_are_taken_for_some() {
        for text in ["404", "2xx", "599"] {
            assert_eq!(text.parse::<Statuses>().expect(text).to_string(), text);
        }
        for text in ["", "4", "4x", "1xx", "6xx", "xx", "600", "100", "40x", "-4xx", "+2xx "] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
