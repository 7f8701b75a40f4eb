//! The names of what a shard has in the place. All of a shard share a hash tag, so that one script may name them all; the
//! epoch is part of the name, so that what another epoch left is not found.

use crate::domain::{EpochId, SHARDS, ShardId};

/// The slots of a Cluster.
const SLOTS: u16 = 16_384;

/// One of the things that a shard has for an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Where it stands.
    Meta,
    /// What is visible.
    Seen,
    /// What writes are judged by.
    Heads,
    /// The log.
    Log,
    /// Copies of fences.
    Fences,
    /// Tickets.
    Tickets,
}

impl Part {
    /// All of them, in the order in which scripts name them.
    pub const ALL: [Self; 6] = [Self::Meta, Self::Seen, Self::Heads, Self::Log, Self::Fences, Self::Tickets];

    const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Seen => "seen",
            Self::Heads => "heads",
            Self::Log => "log",
            Self::Fences => "fences",
            Self::Tickets => "tickets",
        }
    }
}

/// How keys begin.
#[derive(Debug, Clone)]
pub struct Keys {
    shards: Vec<String>,
}

impl Keys {
    /// By the prefix of all.
    pub fn new(prefix: &str) -> Self {
        Self { shards: (0..SHARDS).map(|shard| format!("{{{prefix}:{shard:02}}}")).collect() }
    }

    /// A part of a shard in an epoch.
    pub fn part(&self, shard: ShardId, epoch: EpochId, part: Part) -> String {
        format!("{}:{epoch}:{}", self.shards[shard.index()], part.name())
    }

    /// The epochs of which something is left in a shard.
    pub fn epochs(&self, shard: ShardId) -> String {
        format!("{}:epochs", self.shards[shard.index()])
    }

    /// The slot of a Cluster that all of these keys are in.
    pub fn slot(&self, shard: ShardId) -> u16 {
        let tag = &self.shards[shard.index()];
        crc16(&tag.as_bytes()[1..tag.len() - 1]) % SLOTS
    }
}

/// CRC-16/XMODEM, as the specification of Redis Cluster has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let keys = Keys::new("hf");
        let shard = ShardId::from_index(7).unwrap();
        assert_eq!(keys.part(shard, EpochId(255), Part::Log), "{hf:07}:00000000000000ff:log");
        assert_eq!(keys.slot(shard), crc16(b"hf:07") % SLOTS);
    }

    #[test]
    fn shards_spread_over_the_slots() {
        let keys = Keys::new("hf");
        let thirds = ShardId::all().map(|shard| keys.slot(shard) / (SLOTS / 3 + 1));
        let mut counts = [0; 3];
        thirds.for_each(|third| counts[usize::from(third)] += 1);
        assert!(counts.iter().all(|count| *count >= 12), "{counts:?}");
    }
}
