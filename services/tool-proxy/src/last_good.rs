//! The last good answers of a tool, by tenant and arguments: bounded in bytes, the ones that were not renewed go first.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

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
    pub(crate) fn keep(&self, tenant: &str, fingerprint: &str, answer: &Answer, now: Instant) {
        let key = (tenant.to_owned(), fingerprint.to_owned());
        let mut inner = self.inner.lock();
        inner.remove(&key);
        let number = inner.next;
        inner.next += 1;
        let entry =
            Entry { content: answer.content.clone(), content_type: answer.content_type.clone(), at: now, number };
        inner.bytes += size(&key, &entry);
        inner.order.insert(number, key.clone());
        inner.answers.insert(key, entry);
        while inner.bytes > self.bytes_max {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            inner.remove(&oldest);
        }
    }

    /// The last good answer to the same call, no older than `max_age`: content, type and age.
    pub(crate) fn find(
        &self,
        tenant: &str,
        fingerprint: &str,
        max_age: Duration,
        now: Instant,
    ) -> Option<(Bytes, String, Duration)> {
        let inner = self.inner.lock();
        let entry = inner.answers.get(&(tenant.to_owned(), fingerprint.to_owned()))?;
        let age = now.saturating_duration_since(entry.at);
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

    #[test]
    fn an_answer_is_given_with_its_age_until_it_is_too_old() {
        let last = LastGood::new(1 << 20);
        let then = Instant::now();
        last.keep("a", "f", &answer("one"), then);
        let now = then + Duration::from_secs(5);
        let (content, _, age) = last.find("a", "f", Duration::from_secs(5), now).expect("young enough");
        assert_eq!((content.as_ref(), age), (&b"\"one\""[..], Duration::from_secs(5)));
        assert!(last.find("a", "f", Duration::from_secs(4), now).is_none());
    }

    #[test]
    fn nothing_crosses_tenants() {
        let last = LastGood::new(1 << 20);
        last.keep("a", "f", &answer("one"), Instant::now());
        assert!(last.find("b", "f", Duration::from_secs(5), Instant::now()).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_is_renewed_stays() {
        let last = LastGood::new(3 * (ENTRY_BYTES + 64));
        for round in 0..100 {
            last.keep("a", "often", &answer("x"), Instant::now());
            last.keep("a", &round.to_string(), &answer("y"), Instant::now());
        }
        let inner = last.inner.lock();
        assert!(inner.bytes <= last.bytes_max && inner.answers.len() == inner.order.len());
        assert!(inner.answers.contains_key(&("a".into(), "often".into())));
        assert!(inner.answers.len() >= 2);
    }
}
