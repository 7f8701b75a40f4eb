//! The record of a call while the call is carried out.

use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::{Error, deadline, time};
use tokio::time::Instant;
use tracing::info;

use super::{Call, Limits, Stop, other_call};
use crate::domain::{Answer, Effect, Intent, Record, Slot};
use crate::journal::{Authority, Journal, Persistence, Written};
use crate::metrics;

/// A record that is being made.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    limits: Limits,
    slot: &'a Slot,
    patience: Duration,
    record: Record,
    /// None while there is nothing in the state service.
    version: Option<Bytes>,
    /// Whether the lease was found good in this call.
    vouched: bool,
}

impl<'a> Entry<'a> {
    pub(super) fn new(journal: &'a Journal, limits: Limits, slot: &'a Slot, call: &Call, patience: Duration) -> Self {
        Self {
            journal,
            limits,
            slot,
            patience,
            record: Record::new(&call.tool.name, &call.fingerprint),
            version: None,
            vouched: false,
        }
    }

    /// The last thing before anything is sent: the lease must be good, and an effectful call must have left word of its
    /// intent. The intent is written under the lease, which checks the fence in the same step.
    pub(super) async fn vouch(&mut self, effect: Effect) -> Result<(), Stop> {
        if effect == Effect::Effectful && self.record.intent.is_none() {
            self.intend().await?;
        } else if self.slot.lease.is_some() {
            self.journal.confirm_fence(self.slot).await?;
        }
        self.vouched = true;
        Ok(())
    }

    async fn intend(&mut self) -> Result<(), Stop> {
        let patience_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let intent = Intent { at_us: time::now_micros(), patience_ms };
        let record = Record { intent: Some(intent), ..self.record.clone() };
        let until = Persistence::IfUnsure(Instant::now() + self.limits.intend_for);
        match self.journal.write(self.slot, &record, None, Authority::Lease, until).await? {
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
        // Where the lease was not looked at yet, this write does it: a superseded worker leaves no record.
        let authority = if self.vouched { Authority::Mesh } else { Authority::Lease };
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
