//! An invocation's history as a stream of events. Changes of state are not stored a second time: they follow from what
//! the record holds anyway.

use bytes::Bytes;

use super::invocation::{Failure, Status};
use super::record::{Phase, Record, Standing};
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

/// The changes of state of an invocation, by rising offset.
#[must_use]
pub fn status_events(record: &Record) -> Vec<Event> {
    let event =
        |offset, at, status, attempt, failure| Event { offset, at, what: What::Status { status, attempt, failure } };
    let mut events = vec![event(1, record.accepted.at, Status::Queued, 0, None)];
    for tried in &record.tries {
        let counted = |attempt: u32| if tried.kind.counts() { attempt } else { attempt.saturating_sub(1) };
        events.push(event(tried.lease.event, tried.lease.at, Status::Leased, tried.attempt, None));
        events.push(event(
            tried.event,
            tried.ended_at,
            tried.became,
            counted(tried.attempt),
            tried.kind.failure().cloned(),
        ));
    }
    match &record.standing {
        Standing::Live(live) => {
            if let Phase::Leased(lease) = &live.phase {
                events.push(event(lease.event, lease.at, Status::Leased, live.attempt, None));
            }
        }
        // Where the last try ended it, both of its events stand there already.
        Standing::Ended(ended) if !record.tries.last().is_some_and(|tried| tried.became.is_terminal()) => {
            if let Some(lease) = &ended.lease {
                events.push(event(lease.event, lease.at, Status::Leased, ended.attempt, None));
            }
            let failure = ended.outcome.failure().cloned();
            events.push(event(ended.event, ended.at, ended.outcome.status(), ended.attempt, failure));
        }
        Standing::Ended(ended) => {
            if let (Some(last), Some(failure)) = (events.last_mut(), ended.outcome.failure()) {
                last.what = What::Status {
                    status: ended.outcome.status(),
                    attempt: ended.attempt,
                    failure: Some(failure.clone()),
                };
            }
        }
    }
    events
}
