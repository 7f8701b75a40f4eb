//! Leases in force and when each runs out, by monotonic time; and broken streams in their grace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::time::Moment;

/// A lease in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The invocation.
    pub invocation: Uuid,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The worker's name.
    pub worker: Arc<str>,
    /// The worker's stream.
    pub stream: Option<Uuid>,
    /// The signed token.
    pub token: Arc<str>,
}

#[derive(Debug)]
struct Timed {
    held: Held,
    until: Moment,
}

/// To which tenant a stream's worker was confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confines {
    /// To this one, or to none.
    To(Option<Arc<str>>),
    /// Not known any more: the queue was started again since.
    Unknown,
}

/// A stream that broke while it held leases.
#[derive(Debug, Clone)]
struct Broken {
    worker: Arc<str>,
    confines: Confines,
    until: Moment,
}

/// All leases in force.
#[derive(Debug, Default)]
pub struct Leases {
    leases: HashMap<Uuid, Timed>,
    ends: BTreeSet<(Moment, Uuid)>,
    /// Ordered, so that the same events always have the same consequences.
    streams: HashMap<Uuid, BTreeSet<Uuid>>,
    broken: BTreeMap<Uuid, Broken>,
    graces: BTreeSet<(Moment, Uuid)>,
}

impl Leases {
    /// A lease begins.
    pub fn begin(&mut self, lease: Uuid, held: Held, until: Moment) {
        if let Some(stream) = held.stream {
            self.streams.entry(stream).or_default().insert(lease);
        }
        self.ends.insert((until, lease));
        self.leases.insert(lease, Timed { held, until });
    }

    /// A lease is renewed; false when there is none.
    pub fn renew(&mut self, lease: Uuid, until: Moment) -> bool {
        let Some(timed) = self.leases.get_mut(&lease) else { return false };
        self.ends.remove(&(timed.until, lease));
        timed.until = until;
        self.ends.insert((until, lease));
        true
    }

    /// A lease is over.
    pub fn end(&mut self, lease: Uuid) -> Option<Held> {
        let timed = self.leases.remove(&lease)?;
        self.ends.remove(&(timed.until, lease));
        self.leave_stream(lease, timed.held.stream);
        Some(timed.held)
    }

    /// A lease moves to another stream, with its full time.
    pub fn adopt(&mut self, lease: Uuid, stream: Uuid, until: Moment) {
        let Some(timed) = self.leases.get_mut(&lease) else { return };
        let from = timed.held.stream.replace(stream);
        self.leave_stream(lease, from);
        self.streams.entry(stream).or_default().insert(lease);
        self.renew(lease, until);
    }

    /// A lease in force.
    #[must_use]
    pub fn get(&self, lease: Uuid) -> Option<&Held> {
        self.leases.get(&lease).map(|timed| &timed.held)
    }

    /// The leases of a stream.
    #[must_use]
    pub fn of_stream(&self, stream: Uuid) -> Vec<Uuid> {
        self.streams.get(&stream).map(|leases| leases.iter().copied().collect()).unwrap_or_default()
    }

    /// Leases in force.
    #[must_use]
    pub fn count(&self) -> usize {
        self.leases.len()
    }

    /// A stream broke; its leases stay for a grace. Without leases nothing is remembered.
    pub fn broke(&mut self, stream: Uuid, worker: Arc<str>, confines: Confines, until: Moment) {
        if self.streams.contains_key(&stream) && !self.broken.contains_key(&stream) {
            self.graces.insert((until, stream));
            self.broken.insert(stream, Broken { worker, confines, until });
        }
    }

    /// Broken streams of a worker that comes back: those that bear its name and tenant. They are broken no more.
    pub fn returned(&mut self, worker: &str, tenant: Option<&str>) -> Vec<Uuid> {
        let theirs = |broken: &Broken| {
            &*broken.worker == worker
                && match &broken.confines {
                    Confines::To(confined) => confined.as_deref() == tenant,
                    Confines::Unknown => true,
                }
        };
        let streams: Vec<Uuid> =
            self.broken.iter().filter(|(_, broken)| theirs(broken)).map(|(stream, _)| *stream).collect();
        for stream in &streams {
            self.forget_broken(*stream);
        }
        streams
    }

    /// Leases whose time is up, and leases of streams whose grace is up. Each comes once: renewed for `again`, it comes
    /// up anew should the store fail to free it.
    pub fn due(&mut self, now: Moment, again: Duration) -> Vec<Uuid> {
        let mut due = Vec::new();
        while let Some(&(at, stream)) = self.graces.first()
            && at <= now
        {
            self.forget_broken(stream);
            due.extend(self.of_stream(stream));
        }
        for lease in &due {
            self.renew(*lease, now.after(again));
        }
        while let Some(&(at, lease)) = self.ends.first()
            && at <= now
        {
            self.renew(lease, now.after(again));
            due.push(lease);
        }
        due
    }

    /// When [`due`](Self::due) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let first = |set: &BTreeSet<(Moment, Uuid)>| set.first().map(|(at, _)| *at);
        [first(&self.ends), first(&self.graces)].into_iter().flatten().min()
    }

    fn forget_broken(&mut self, stream: Uuid) {
        if let Some(broken) = self.broken.remove(&stream) {
            self.graces.remove(&(broken.until, stream));
        }
    }

    fn leave_stream(&mut self, lease: Uuid, stream: Option<Uuid>) {
        let Some(stream) = stream else { return };
        let Some(leases) = self.streams.get_mut(&stream) else { return };
        leases.remove(&lease);
        if leases.is_empty() {
            self.streams.remove(&stream);
            self.forget_broken(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Duration = Duration::from_secs(1);

    fn held(stream: Option<u128>) -> Held {
        Held {
            invocation: Uuid::from_u128(7),
            tenant: "t".into(),
            worker: "w".into(),
            stream: stream.map(Uuid::from_u128),
            token: "token".into(),
        }
    }

    fn lease(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn a_lease_lasts_from_its_last_renewal() {
        let mut leases = Leases::default();
        leases.begin(lease(1), held(None), Moment(10));
        assert!(leases.renew(lease(1), Moment(20)));
        assert!(leases.due(Moment(19), AGAIN).is_empty());
        assert_eq!(leases.due(Moment(20), AGAIN), [lease(1)]);
        assert!(leases.due(Moment(20), AGAIN).is_empty(), "it comes once");
        leases.end(lease(1));
        assert!(!leases.renew(lease(1), Moment(30)));
        assert_eq!(leases.next_due(), None);
    }

    #[test]
    fn a_broken_stream_has_its_grace() {
        let mut leases = Leases::default();
        leases.begin(lease(1), held(Some(9)), Moment(1_000));
        leases.broke(lease(9), "w".into(), Confines::To(None), Moment(50));
        assert!(leases.due(Moment(49), AGAIN).is_empty());
        assert_eq!(leases.due(Moment(50), AGAIN), [lease(1)]);
    }

    #[test]
    fn an_adopted_lease_outlives_its_old_stream() {
        let mut leases = Leases::default();
        leases.begin(lease(1), held(Some(9)), Moment(1_000));
        leases.broke(lease(9), "w".into(), Confines::To(None), Moment(50));
        leases.adopt(lease(1), lease(10), Moment(2_000));
        assert!(leases.due(Moment(1_999), AGAIN).is_empty());
        assert_eq!(leases.of_stream(lease(10)), [lease(1)]);
        assert!(leases.of_stream(lease(9)).is_empty());
    }

    #[test]
    fn a_returning_worker_is_known_by_name_and_tenant() {
        let mut leases = Leases::default();
        leases.begin(lease(1), held(Some(9)), Moment(1_000));
        leases.broke(lease(9), "w".into(), Confines::To(Some("t".into())), Moment(50));
        assert!(leases.returned("w", None).is_empty());
        assert!(leases.returned("v", Some("t")).is_empty());
        assert_eq!(leases.returned("w", Some("t")), [lease(9)]);
    }
}
