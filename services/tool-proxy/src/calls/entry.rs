//! The record of a call while the call is carried out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::{Error, deadline, time};
use tokio::time::Instant;
use tracing::info;

use super::{Call, Limits, Stop, other_call};
use crate::catalog::RECORDING;
use crate::domain::{Answer, Effect, Intent, Record, Slot};
use crate::journal::{Authority, Journal, Persistence, Written};
use crate::metrics;

/// Whether an effectful call has begun to leave: its intent may be written, so it must be carried to its end.
#[derive(Debug, Default)]
pub(super) struct Departure(AtomicBool);

impl Departure {
    fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A record that is being made.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    limits: Limits,
    slot: &'a Slot,
    patience: Duration,
    departure: &'a Departure,
    record: Record,
    /// None while there is nothing in the state service.
    version: Option<Bytes>,
    /// When a repeat may call the outcome lost: nothing of the call is under way then.
    ends: Option<Instant>,
    /// Whether something may have reached a tool.
    left: bool,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        journal: &'a Journal,
        limits: Limits,
        slot: &'a Slot,
        call: &Call,
        patience: Duration,
        departure: &'a Departure,
    ) -> Self {
        Self {
            journal,
            limits,
            slot,
            patience,
            departure,
            record: Record::new(&call.tool.name, &call.fingerprint),
            version: None,
            ends: None,
            left: false,
        }
    }

    /// The last thing before anything is sent: the lease must be good, and an effectful call must have left word of its
    /// intent. The intent is written under the lease, which checks the fence in the same step.
    pub(super) async fn vouch(&mut self, effect: Effect) -> Result<(), Stop> {
        if effect == Effect::Effectful && self.record.intent.is_none() {
            self.intend().await?;
        } else if self.slot.is_leased() {
            self.journal.confirm_fence(self.slot).await?;
        }
        Ok(())
    }

    /// When the call must be over, where its intent says so.
    pub(super) const fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Something may have reached a tool.
    pub(super) const fn leaves(&mut self) {
        self.left = true;
    }

    pub(super) const fn has_left(&self) -> bool {
        self.left
    }

    /// Says how long the call may take, counted from before that is written. Where writing takes much of this time, it is
    /// said once more, with as much as the slowest writing may take: no repeat may call lost what is still allowed to run.
    async fn intend(&mut self) -> Result<(), Stop> {
        self.departure.begin();
        for slack in [Duration::ZERO, 2 * self.limits.intend_for] {
            let (began, patience) = (Instant::now(), self.patience + slack);
            // From here on the caller's time does not count.
            deadline::scope(None, self.write_intent(patience)).await?;
            self.ends = Some(began + patience);
            if began.elapsed() <= RECORDING {
                break;
            }
        }
        Ok(())
    }

    async fn write_intent(&mut self, patience: Duration) -> Result<(), Stop> {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let intent = Intent { at_us: time::now_micros(), patience_ms };
        let record = Record { intent: Some(intent), ..self.record.clone() };
        let until = Persistence::IfUnsure(Instant::now() + self.limits.intend_for);
        match self.journal.write(self.slot, &record, self.version.as_ref(), Authority::Lease, until).await? {
            Written::Taken(version) => {
                self.record = record;
                self.version = Some(version);
                Ok(())
            }
            Written::Moved(Some(found)) => Err(Stop::Overtaken(found)),
            Written::Moved(None) => Err(Error::internal("the record of a call was deleted under way").into()),
        }
    }

    /// Records an outcome, and returns the answer that counts, the first one recorded, and whether it is an earlier one.
    pub(super) async fn settle(mut self, outcome: Answer) -> Result<(Answer, bool), Error> {
        // What reached no tool is written under the lease: a superseded worker leaves no answer behind.
        let authority = if self.left { Authority::Mesh } else { Authority::Lease };
        loop {
            let Some(settled) = self.record.clone().settled(&outcome) else {
                let first = self.record.answer.ok_or_else(|| Error::internal("a settled call has no answer"))?;
                return Ok((first, true));
            };
            let until = Persistence::Always(self.until());
            match self.journal.write(self.slot, &settled, self.version.as_ref(), authority, until).await {
                Ok(Written::Taken(_)) => return Ok(counted(settled, outcome)),
                Ok(Written::Moved(Some(found))) if found.record.fingerprint != self.record.fingerprint => {
                    return Err(other_call(&found));
                }
                Ok(Written::Moved(Some(found))) => {
                    self.record = found.record;
                    self.version = Some(found.version);
                }
                Ok(Written::Moved(None)) => return Err(Error::internal("the record of a call was deleted under way")),
                Err(error) => return Err(error),
            }
        }
    }

    /// A known result is carried to the state service for long, but not past the caller's patience where it waits for it.
    fn until(&self) -> Instant {
        let own = Instant::now() + self.limits.record_for;
        deadline::current().map_or(own, |deadline| deadline.min(own))
    }
}

fn counted(settled: Record, outcome: Answer) -> (Answer, bool) {
    if settled.later_truth.is_none() {
        return (outcome, false);
    }
    metrics::truth_came_late(&settled.tool);
    info!(tool = settled.tool, truth = outcome.outcome.name(), "a result came after its outcome had been given up");
    (settled.answer.unwrap_or_else(|| Answer::unknown(&settled.tool, "OUTCOME_LOST")), true)
}
