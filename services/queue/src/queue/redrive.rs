//! Letting ended invocations run again.

mod refusals;
mod which;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use holdfast_rpc::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::refusals::{behind, no_room, refused, unavailable, unsuitable};
use super::core::Commands;
use super::tag::{RedriveTag, Tag};
use super::{Queue, Shared, answered, refusal};
use crate::domain::invocation::Status;
use crate::domain::record::Record;
use crate::domain::time::Micros;
use crate::metrics;
use crate::store::{Command, Filter, Redrive, Redriven};

/// Invocations that are decided in one commit.
pub(super) const AT_ONCE: usize = 100;

/// What shall be redriven.
#[derive(Debug)]
pub struct RedriveAsk {
    /// Only this tenant's.
    pub tenant: Option<Arc<str>>,
    /// Names the call: its repeat redrives nothing twice.
    pub redrive: Uuid,
    /// It may be a repeat.
    pub repeats: bool,
    /// Which.
    pub which: Which,
    /// The states in which they must have ended.
    pub statuses: Vec<Status>,
    /// Only say which.
    pub dry_run: bool,
    /// The work's new end.
    pub deadline: Option<Micros>,
}

/// Which invocations are meant.
#[derive(Debug)]
pub enum Which {
    /// These.
    Named(Vec<Uuid>),
    /// A page of those like this.
    Like(Filter),
}

/// What became of a redrive.
#[derive(Debug, Default)]
pub struct RedriveAnswer {
    /// Redriven, or to be redriven, oldest first.
    pub redriven: Vec<Uuid>,
    /// Not redriven.
    pub refusals: Vec<NotThis>,
    /// Where to go on.
    pub next: Option<Uuid>,
}

/// Sessions of which something was not redriven, with its time to come back: what is behind it waits too, or it would pass.
type Held = HashMap<(Arc<str>, String), Option<Duration>>;

/// An invocation that was not redriven.
#[derive(Debug)]
pub struct NotThis {
    /// Which.
    pub id: Uuid,
    /// A stable word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// When to come back, where that helps.
    pub retry_after: Option<Duration>,
}

impl Queue {
    /// Lets invocations that ended without success run again, each decided for itself.
    ///
    /// # Errors
    /// UNAVAILABLE; what was redriven by then stays so, and a repeat of the call tells of it.
    pub async fn redrive(&self, ask: RedriveAsk) -> Result<RedriveAnswer, Error> {
        let mut answer = RedriveAnswer::default();
        let records = self.candidates(&ask, &mut answer).await?;
        let mut suitable = Vec::new();
        for record in records {
            let id = record.accepted.id;
            if answer.redriven.contains(&id) {
                continue;
            }
            if record.past_ends.iter().any(|past| past.redrive == ask.redrive) {
                answer.redriven.push(id);
            } else if let Some(refusal) = unsuitable(id, record.standing.status(), &ask.statuses) {
                answer.refusals.push(refusal);
            } else if ask.dry_run {
                answer.redriven.push(id);
            } else {
                suitable.push(record);
            }
        }
        let mut held = Held::new();
        for (chunk, records) in suitable.chunks(AT_ONCE).enumerate() {
            let outcomes = self.shared.redrive(&ask, records, &mut held).await;
            let began = chunk > 0 || !answer.redriven.is_empty();
            for (id, outcome) in outcomes.map_err(|error| if began { error.maybe_happened() } else { error })? {
                match outcome {
                    Ok(()) => answer.redriven.push(id),
                    Err(refusal) => answer.refusals.push(refusal),
                }
            }
        }
        answer.redriven.sort_unstable();
        Ok(answer)
    }
}

impl Shared {
    /// Redrives in one commit what there is room for.
    async fn redrive(
        self: &Arc<Self>,
        ask: &RedriveAsk,
        records: &[Record],
        held: &mut Held,
    ) -> Result<Vec<(Uuid, Result<(), NotThis>)>, Error> {
        let mut outcomes = Vec::new();
        let mut answers = Vec::new();
        {
            let now = self.clock.now();
            let mut core = self.core.lock();
            if core.draining {
                return Err(refusal::draining());
            }
            let mut commands = Commands::new();
            for record in records {
                let accepted = &record.accepted;
                let (id, agent, tenant) = (accepted.id, &accepted.agent, &accepted.tenant);
                let session = accepted.session.clone().map(|session| (Arc::clone(tenant), session));
                if let Some(retry_after) = session.as_ref().and_then(|session| held.get(session)) {
                    outcomes.push((id, Err(behind(id, *retry_after))));
                    continue;
                }
                if let Err(full) = core.depths.admit(agent, tenant, accepted.bytes, rand::random(), now.moment) {
                    metrics::full(&full);
                    held.extend(session.map(|session| (session, Some(full.wait))));
                    outcomes.push((id, Err(no_room(id, &refusal::full(full, agent, tenant)))));
                    continue;
                }
                let (reply, answer) = oneshot::channel();
                let redrive = Redrive {
                    id,
                    tenant: ask.tenant.clone(),
                    redrive: ask.redrive,
                    statuses: ask.statuses.clone(),
                    deadline: ask.deadline,
                    ready_at: accepted.not_before.map_or(now.wall, |at| at.max(now.wall)),
                    now: now.wall,
                };
                let tag = RedriveTag { id, accepted: Arc::clone(accepted), reply };
                commands.push((Tag::Redrive(tag), Command::Redrive(Box::new(redrive))));
                answers.push(async move { (id, session, answered(answer).await) });
            }
            self.submit(&mut core, commands, now);
        }
        for (id, session, answer) in join_all(answers).await {
            let outcome = match answer {
                Ok(Redriven::Now { .. } | Redriven::Before) => Ok(()),
                Ok(Redriven::Refused(why)) => Err(refused(id, why, &ask.statuses)),
                Err(error) => {
                    held.extend(session.map(|session| (session, error.retry_after())));
                    Err(unavailable(id, &error))
                }
            };
            outcomes.push((id, outcome));
        }
        Ok(outcomes)
    }
}
