//! What leaves this process of a failure: never a key, which some providers repeat in what they say of an error, and no more
//! than somebody will read.

use holdfast_config::Secret;

use super::super::Failure;

/// The most of a provider's message that is passed on.
const MESSAGE_MAX: usize = 1_000;
/// The most of a field's name.
const FIELD_MAX: usize = 200;

impl Failure {
    /// The same as it may be told. First without the key, and then cut: a part of a key is nobody's affair either.
    pub(super) fn discreet(mut self, key: Option<&Secret>) -> Self {
        let (message, field) = match &mut self {
            Self::Rejected { field, message } => (message, field.as_mut()),
            Self::Untranslatable { field, message } => (message, Some(field)),
            Self::KeyDenied { message, .. }
            | Self::Forbidden { message }
            | Self::Doubtful { message }
            | Self::ForbiddenToAll { message }
            | Self::ContextLength { message }
            | Self::NoModel { message } => (message, None),
            Self::Limited { .. } | Self::Unreachable | Self::Withheld | Self::Unwell { .. } | Self::Broken { .. } => {
                return self;
            }
        };
        let key = key.map(Secret::reveal).map(str::trim).filter(|key| !key.is_empty());
        for (text, most) in [(Some(message), MESSAGE_MAX), (field, FIELD_MAX)] {
            let Some(text) = text else { continue };
            if let Some(key) = key {
                *text = text.replace(key, "…");
            }
            if let Some((end, _)) = text.char_indices().nth(most) {
                text.truncate(end);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_repeated_in_a_message_nor_a_part_of_it() {
        let key = Secret::in_memory("sk-canary");
        let said = |message: &str| {
            let failure = Failure::Rejected { field: Some(message.to_owned()), message: message.to_owned() };
            let Failure::Rejected { field: Some(field), message } = failure.discreet(Some(&key)) else {
                panic!("it stays what it was")
            };
            (field, message)
        };
        let (field, message) = said("Incorrect API key: sk-canary.");
        assert_eq!((field.as_str(), message.as_str()), ("Incorrect API key: ….", "Incorrect API key: …."));
        for before in [FIELD_MAX - 3, MESSAGE_MAX - 3] {
            let (field, message) = said(&("ü".repeat(before) + "sk-canary and more"));
            assert!(!field.contains("sk-") && !message.contains("sk-"), "{message}");
        }
        let (field, message) = said(&"ü".repeat(5_000));
        assert_eq!((field.chars().count(), message.chars().count()), (FIELD_MAX, MESSAGE_MAX));
    }
}
