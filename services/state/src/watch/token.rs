//! Where a watch stands, as its readers carry it.

use std::fmt;

use crate::domain::{Partition, Seq};

/// The first byte of every token, for formats to come.
const FORMAT: u8 = 1;
const BYTES: usize = 17;

/// A place in a partition's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    partition: [u8; 8],
    seq: Seq,
}

/// A token that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not made by this service.
    #[error("is not a token; carry it exactly as it came")]
    Malformed,
    /// Made for another partition.
    #[error("is the token of another partition")]
    OtherPartition,
}

impl Token {
    /// The token of a place.
    pub(super) fn new(partition: &Partition, seq: Seq) -> Self {
        Self { partition: partition.record("").tag(), seq }
    }

    /// The place.
    pub(super) fn seq(self) -> Seq {
        self.seq
    }

    /// From a reader.
    ///
    /// # Errors
    /// Not a token, or another partition's.
    pub fn parse(text: &str, partition: &Partition) -> Result<Self, BadToken> {
        let mut bytes = [0; BYTES];
        // from_str_radix would take a sign.
        if text.len() != 2 * BYTES || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadToken::Malformed);
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * place..2 * place + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadToken::Malformed)?;
        }
        let [FORMAT, rest @ ..] = bytes else { return Err(BadToken::Malformed) };
        let (tag, seq) = rest.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let token = Self::new(partition, number(seq));
        if token.partition == *tag { Ok(token) } else { Err(BadToken::OtherPartition) }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT:02x}{:016x}{:016x}", u64::from_be_bytes(self.partition), self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bound_to_its_partition() {
        let (one, other) = ("C-1", "C-2").into_partitions();
        let token = Token::new(&one, 0x1234_5678_9abc);
        assert_eq!(Token::parse(&token.to_string(), &one), Ok(token));
        assert_eq!(Token::parse(&token.to_string(), &other), Err(BadToken::OtherPartition));
    }

    #[test]
    fn what_was_never_a_token_is_none() {
        let (one, _) = ("C-1", "C-2").into_partitions();
        let token = Token::new(&one, 7).to_string();
        for bad in
            ["", "7", &token[1..], &format!("+{}", &token[1..]), &token.replacen('1', "2", 2), "é€€€€€€€€€€é12345"]
        {
            assert_eq!(Token::parse(bad, &one), Err(BadToken::Malformed), "{bad:?}");
        }
    }

    trait IntoPartitions {
        fn into_partitions(self) -> (Partition, Partition);
    }

    impl IntoPartitions for (&str, &str) {
        fn into_partitions(self) -> (Partition, Partition) {
            let partition = |name| Partition::new("acme", "accounts", name).unwrap();
            (partition(self.0), partition(self.1))
        }
    }
}
