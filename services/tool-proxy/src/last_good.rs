//! The last good answers of a tool, by tenant and arguments: bounded in bytes, the ones that were not renewed go first.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::Answer;

/// What an entry takes besides its content.
const ENTRY_BYTES: usize = 256;

/// The answers of one tool.
#[derive(Debug)]
pub(crate) struct LastGood {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    answers: HashMap<Key, Entry>,
    /// Oldest first.
    order: BTreeMap<u64, Key>,
    next: u64,
    bytes: usize,
}

/// Tenant and fingerprint of the call.
type Key = (String, String);

#[derive(Debug)]
struct Entry {
    content: Bytes,
    content_type: String,
    at: Instant,
    number: u64,
}

impl LastGood {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), bytes_max }
    }

    /// Keeps an answer instead of an older one.
    pub(crate) fn keep(&self, tenant: &str, fingerprint: &str, answer: &Answer) {
        let key = (tenant.to_owned(), fingerprint.to_owned());
        let mut inner = self.inner.lock();
        inner.remove(&key);
        let number = inner.next;
        inner.next += 1;
        let entry = Entry {
            content: answer.content.clone(),
            content_type: answer.content_type.clone(),
            at: Instant::now(),
            number,
        };
        inner.bytes += size(&key, &entry);
        inner.order.insert(number, key.clone());
        inner.answers.insert(key, entry);
        while inner.bytes > self.bytes_max {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            inner.remove(&oldest);
        }
    }

    /// The last good answer to the same call, no older than `max_age`: content, type and age.
    pub(crate) fn find(&self, tenant: &str, fingerprint: &str, max_age: Duration) -> Option<(Bytes, String, Duration)> {
        let inner = self.inner.lock();
        let entry = inner.answers.get(&(tenant.to_owned(), fingerprint.to_owned()))?;
        let age = entry.at.elapsed();
        (age <= max_age).then(|| (entry.content.clone(), entry.content_type.clone(), age))
    }
}

impl Inner {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.answers.remove(key) {
            self.order.remove(&entry.number);
            self.bytes -= size(key, &entry);
        }
    }
}

fn size(key: &Key, entry: &Entry) -> usize {
    ENTRY_BYTES + key.0.len() + 2 * key.1.len() + entry.content.len() + entry.content_type.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outcome;

    fn answer(text: &str) -> Answer {
        Answer::made(Outcome::Real, &serde_json::json!(text), "")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_with_its_age_until_it_is_too_old() {
        let last = LastGood::new(1 << 20);
        last.keep("a", "f", &answer("one"));
        tokio::time::advance(Duration::from_secs(5)).await;
        let (content, _, age) = last.find("a", "f", Duration::from_secs(5)).expect("young enough");
        assert_eq!((content.as_ref(), age), (&b"\"one\""[..], Duration::from_secs(5)));
        assert!(last.find("a", "f", Duration::from_secs(4)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_crosses_tenants() {
        let last = LastGood::new(1 << 20);
        last.keep("a", "f", &answer("one"));
        assert!(last.find("b", "f", Duration::from_secs(5)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_what_is_renewed_stays() {
        let last = LastGood::new(3 * (ENTRY_BYTES + 64));
        for round in 0..100 {
            last.keep("a", "often", &answer("x"));
            last.keep("a", &round.to_string(), &answer("y"));
        }
        let inner = last.inner.lock();
        assert!(inner.bytes <= last.bytes_max && inner.answers.len() == inner.order.len());
        assert!(inner.answers.contains_key(&("a".into(), "often".into())));
        assert!(inner.answers.len() >= 2);
    }
}
