//! A batch's working set: the rows that its commands touch, as they were loaded and as the commands leave them.
//!
//! Invariants:
//! - Decisions see only what is in here; everything that they may ask for was loaded before, under its lock, or is
//!   remembered and proven by what is stored.
//! - Nothing in here is true for anybody else before the transaction has been committed.

mod ends;
mod sessions;
mod stand;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

pub(super) use self::sessions::Session;
pub(super) use self::stand::ready_at;
use super::super::{Keep, Note, ReadyKey, WriterId};
use super::rows::LiveRow;
use crate::domain::event::Report;
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::record::{Ended, PastEnd, Try};
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Micros;

/// What a process counts over its batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    /// This process.
    pub(super) writer: WriterId,
    /// The last rank that it gave.
    pub(super) rank: i64,
    /// The last place in the order of acceptance that it gave.
    pub(super) seq: i64,
}

impl Counters {
    pub(super) fn next_key(&mut self) -> ReadyKey {
        self.rank += 1;
        ReadyKey { writer: self.writer, rank: self.rank }
    }

    /// Rises, and follows the time of acceptance as far as it can.
    pub(super) fn next_seq(&mut self, at: Micros) -> i64 {
        self.seq = at.max(self.seq + 1);
        self.seq
    }
}

/// An idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) tenant: Arc<str>,
    pub(super) agent: Arc<str>,
    pub(super) key: String,
}

/// Who has a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    pub(super) id: Uuid,
    pub(super) digest: [u8; 32],
    /// Where it has ended (or is gone), when it was accepted: then it may have to give the key up.
    pub(super) over: Option<Micros>,
}

/// An invocation that has not ended, or had not when it was loaded.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the store has it; none when this batch made it.
    pub(super) stored: Option<Stored>,
    /// As the commands leave it; none when it has ended.
    pub(super) row: Option<LiveRow>,
    /// Whether the store must be told.
    pub(super) is_changed: bool,
}

/// Where a stored row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) ready: Option<ReadyKey>,
    pub(super) delayed: Option<Micros>,
    /// The transaction of this process that wrote it last, where it was neither read nor locked.
    pub(super) remembered: Option<u64>,
}

impl Entry {
    pub(super) fn loaded(row: LiveRow) -> Self {
        let stored = Stored { ready: row.ready, delayed: row.delayed, remembered: None };
        Self { stored: Some(stored), row: Some(row), is_changed: false }
    }

    pub(super) fn remembered(row: LiveRow, by: u64) -> Self {
        let stored = Stored { ready: row.ready, delayed: row.delayed, remembered: Some(by) };
        Self { stored: Some(stored), row: Some(row), is_changed: false }
    }

    pub(super) fn is_read(&self) -> bool {
        self.stored.is_none_or(|stored| stored.remembered.is_none())
    }

    /// Whether it was taken as this process left it, and has not ended by this batch: then nothing proves that it is so.
    pub(super) fn is_unproven(&self) -> bool {
        self.row.is_some() && self.stored.is_some_and(|stored| stored.remembered.is_some())
    }
}

/// An invocation that had ended when it was loaded.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) tenant: Arc<str>,
    pub(super) accepted_at: Micros,
    pub(super) ended: Ended,
    /// What was asked, where it may be redriven.
    pub(super) accepted: Option<Arc<Accepted>>,
}

/// What has been asked of a row that is kept apart from `live`.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) accepted: Option<Arc<Accepted>>,
    pub(super) payload: Option<Payload>,
    pub(super) retry: Option<RetryPolicy>,
}

/// A new invocation.
#[derive(Debug)]
pub(super) struct New {
    pub(super) accepted: Arc<Accepted>,
    pub(super) payload: Payload,
}

/// A report that was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: Uuid,
    pub(super) event: u64,
    pub(super) at: Micros,
    pub(super) report: Report,
    /// Older ones must make room.
    pub(super) clear: Option<Keep>,
}

/// An end after which its invocation was redriven.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) id: Uuid,
    pub(super) deadline: Option<Micros>,
    pub(super) end: PastEnd,
}

/// A row of the outbox to state.
#[derive(Debug)]
pub(super) struct NewRaise {
    pub(super) tenant: Arc<str>,
    pub(super) session: Option<String>,
    pub(super) invocation: Option<Uuid>,
    pub(super) fence: u64,
}

/// What is to be stored beside the rows of `live` and of sessions.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) invocations: Vec<New>,
    /// The ends themselves stand among what is over.
    pub(super) ended: Vec<Uuid>,
    /// Ends of which it is known only now what was used; they stand there too.
    pub(super) used: Vec<Uuid>,
    pub(super) tries: Vec<(Uuid, Try)>,
    pub(super) past: Vec<Past>,
    pub(super) raises: Vec<NewRaise>,
    pub(super) told: Vec<Told>,
    pub(super) notes: Vec<(WriterId, Note)>,
    pub(super) keys_taken: Vec<(Key, Keyed)>,
    pub(super) stale: Vec<ReadyKey>,
    pub(super) raises_told: Vec<i64>,
}

impl News {
    /// The earliest deadline that is given, to what is new or to what was redriven.
    pub(super) fn deadline(&self) -> Option<Micros> {
        let new = self.invocations.iter().filter_map(|new| new.accepted.deadline);
        new.chain(self.past.iter().filter_map(|past| past.deadline)).min()
    }
}

/// The working set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) counters: Counters,
    pub(super) entries: HashMap<Uuid, Entry>,
    pub(super) sessions: HashMap<i64, Session>,
    pub(super) keys: HashMap<Key, Keyed>,
    pub(super) over: HashMap<Uuid, Over>,
    pub(super) tries: HashMap<Uuid, Vec<Try>>,
    pub(super) past_ends: HashMap<Uuid, Vec<PastEnd>>,
    pub(super) asked: HashMap<Uuid, Asked>,
    pub(super) news: News,
}

impl Set {
    pub(super) fn new(counters: Counters) -> Self {
        Self {
            counters,
            entries: HashMap::new(),
            sessions: HashMap::new(),
            keys: HashMap::new(),
            over: HashMap::new(),
            tries: HashMap::new(),
            past_ends: HashMap::new(),
            asked: HashMap::new(),
            news: News::default(),
        }
    }

    /// An invocation that has not ended.
    pub(super) fn row(&self, id: Uuid) -> Option<&LiveRow> {
        self.entries.get(&id)?.row.as_ref()
    }

    fn me(&self) -> WriterId {
        self.counters.writer
    }
}

/// The number of a session: a digest of whose it is and of its name, so that it is known before anything is read. Should
/// two sessions ever share it (the odds are one in billions of billions for each pair), they take turns as one.
pub(super) fn session_number(tenant: &str, name: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    digest.update((tenant.len() as u64).to_le_bytes());
    digest.update(tenant);
    digest.update(name);
    let digest = digest.finalize();
    i64::from_le_bytes(std::array::from_fn(|n| digest[n])) & i64::MAX
}
