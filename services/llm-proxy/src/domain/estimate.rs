//! What a call will cost in tokens, before the provider says it.

use super::chat::Ask;

/// Bytes of a prompt per token, on the safe side: English has four.
const BYTES_PER_TOKEN: usize = 3;
/// What a request costs beside its text.
const PER_MESSAGE: u64 = 4;
/// What is set aside for an answer whose length nobody limited.
const OUTPUT: u64 = 1_024;

/// Tokens that the provider will read.
pub(crate) fn input_tokens(ask: &Ask) -> u64 {
    let bytes: usize = ask.fields.values().map(|field| field.get().len()).sum();
    bytes.div_ceil(BYTES_PER_TOKEN) as u64 + PER_MESSAGE
}

/// Tokens that it may write.
pub(crate) fn output_tokens(most: Option<u32>) -> u64 {
    most.map_or(OUTPUT, u64::from)
}
