use serde::Deserialize;

/// What repeating a call would do; each has more effect than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It changes nothing and may be repeated.
    ReadOnly,
    /// The tool deduplicates by the `Idempotency-Key`: its effect happens once.
    Idempotent,
    /// It is sent at most once.
    Effectful,
}

impl Effect {
    /// Whether a request may be sent again.
    pub(crate) const fn may_repeat(self) -> bool {
        !matches!(self, Self::Effectful)
    }
}
