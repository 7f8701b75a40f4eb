//! An invocation's history as a stream of events. Changes of state are not stored a second time: they follow from what
//! the record holds anyway.

use bytes::Bytes;

use super::invocation::{Failure, Status};
use super::record::{Ended, Phase, Record, Standing, Try};
use super::time::Micros;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place, from 1.
    pub offset: u64,
    /// When it was recorded.
    pub at: Micros,
    /// What.
    pub what: What,
}

impl Event {
    /// Bytes that it takes, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.what {
            What::Status { failure, .. } => failure.as_ref().map_or(0, |failure| failure.message.len()),
            What::Report(report) => report.size(),
            What::Dropped { .. } => 0,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A change of state.
    Status {
        /// The new one.
        status: Status,
        /// Attempts begun by then.
        attempt: u32,
        /// Why, where it was not a success.
        failure: Option<Failure>,
    },
    /// The worker said something.
    Report(Report),
    /// What stood here, up to this event's offset, is not kept any more.
    Dropped {
        /// The offset of the first.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// What a worker tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress {
        /// For people.
        message: String,
        /// From 0 to 1.
        fraction: Option<f64>,
    },
    /// A part of the output.
    Chunk {
        /// The attempt that wrote it.
        attempt: u32,
        /// The bytes.
        data: Bytes,
    },
}

impl Report {
    /// Bytes that it takes in the store, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Progress { message, .. } => message.len(),
            Self::Chunk { data, .. } => data.len(),
        }
    }
}

/// What a watcher has seen: no offset is passed over in silence. Offsets rise by one, so what is missing between two events
/// was dropped.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    next: u64,
}

impl Seen {
    /// Nothing yet; events are wanted from this offset on.
    #[must_use]
    pub fn from(offset: u64) -> Self {
        Self { next: offset.max(1) }
    }

    /// The first offset that is still wanted.
    #[must_use]
    pub const fn next(self) -> u64 {
        self.next
    }

    /// Another one is seen; what has to be said before it.
    pub fn see(&mut self, event: &Event) -> Option<Event> {
        let (first, count) = (self.next, event.offset.saturating_sub(self.next));
        self.next = event.offset + 1;
        let dropped = Event { offset: event.offset - 1, at: event.at, what: What::Dropped { first, count } };
        (count > 0).then_some(dropped)
    }
}

/// The changes of state of an invocation, by rising offset.
#[must_use]
pub fn status_events(record: &Record) -> Vec<Event> {
    let mut events = vec![event(1, record.accepted.at, Status::Queued, 0, None)];
    let mut tries = &record.tries[..];
    for past in &record.past_ends {
        let (round, later) = tries.split_at(tries.partition_point(|tried| tried.event <= past.ended.event));
        tries = later;
        events.extend(try_events(round));
        end(&mut events, &past.ended, round);
        events.push(event(past.redrive_event(), past.redriven_at, Status::Queued, 0, None));
    }
    events.extend(try_events(tries));
    match &record.standing {
        Standing::Live(live) => {
            if let Phase::Leased(lease) = &live.phase {
                events.push(event(lease.event, lease.at, Status::Leased, live.attempt, None));
            }
        }
        Standing::Ended(ended) => end(&mut events, ended, tries),
    }
    events
}

fn event(offset: u64, at: Micros, status: Status, attempt: u32, failure: Option<Failure>) -> Event {
    Event { offset, at, what: What::Status { status, attempt, failure } }
}

fn try_events(tries: &[Try]) -> impl Iterator<Item = Event> {
    tries.iter().flat_map(|tried| {
        let counted = if tried.kind.counts() { tried.attempt } else { tried.attempt.saturating_sub(1) };
        let failure = tried.kind.failure().cloned();
        [
            event(tried.lease.event, tried.lease.at, Status::Leased, tried.attempt, None),
            event(tried.event, tried.ended_at, tried.became, counted, failure),
        ]
    })
}

/// The events of an end, after those of the tries before it.
fn end(events: &mut Vec<Event>, ended: &Ended, tries: &[Try]) {
    let failure = ended.outcome.failure().cloned();
    let over = event(ended.event, ended.at, ended.outcome.status(), ended.attempt, failure);
    // Where the last try ended it, both of its events stand there already; the end says more of why.
    if tries.last().is_some_and(|tried| tried.became.is_terminal()) {
        events.pop();
    } else if let Some(lease) = &ended.lease {
        events.push(event(lease.event, lease.at, Status::Leased, ended.attempt, None));
    }
    events.push(over);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(offset: u64) -> Event {
        event(offset, 9, Status::Queued, 0, None)
    }

    #[test]
    fn what_is_missing_is_said_before_what_follows() {
        let mut seen = Seen::from(0);
        assert_eq!(seen.see(&told(1)), None);
        assert_eq!(seen.see(&told(2)), None);
        let gap = seen.see(&told(7)).expect("four are missing");
        assert_eq!((gap.offset, gap.at, gap.what), (6, 9, What::Dropped { first: 3, count: 4 }));
        assert_eq!(seen.next(), 8);
    }

    #[test]
    fn what_was_not_asked_for_is_not_missing() {
        let mut seen = Seen::from(5);
        assert_eq!(seen.see(&told(5)), None);
        assert_eq!(Seen::from(5).see(&told(6)).map(|gap| gap.what), Some(What::Dropped { first: 5, count: 1 }));
    }
}
