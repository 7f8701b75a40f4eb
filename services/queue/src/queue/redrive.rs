//! Letting ended invocations run again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_rpc::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::core::Commands;
use super::tag::{RedriveTag, Tag};
use super::{Page, Queue, Shared, answered, refusal};
use crate::domain::invocation::Status;
use crate::domain::record::{Ended, Outcome, Record, Standing};
use crate::domain::time::Micros;
use crate::metrics;
use crate::store::{Command, Filter, NotRedriven, Redrive, Redriven, Redrives};

/// Invocations that are decided in one commit.
const AT_ONCE: usize = 100;
/// Invocations that are looked up at once.
const LOOKED_UP: usize = 16;

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
            for (id, outcome) in outcomes.map_err(|error| if chunk > 0 { error.maybe_happened() } else { error })? {
                match outcome {
                    Ok(()) => answer.redriven.push(id),
                    Err(refusal) => answer.refusals.push(refusal),
                }
            }
        }
        answer.redriven.sort_unstable();
        Ok(answer)
    }

    /// The invocations that are meant, oldest first: their order within a session is kept.
    async fn candidates(&self, ask: &RedriveAsk, answer: &mut RedriveAnswer) -> Result<Vec<Record>, Error> {
        let mut ids = match &ask.which {
            Which::Named(ids) => ids.clone(),
            Which::Like(filter) => return self.like(filter, ask, answer).await,
        };
        ids.sort_unstable();
        ids.dedup();
        let tenant = ask.tenant.as_deref().map(str::to_owned);
        let found: Vec<(Uuid, Option<Record>)> =
            stream::iter(ids)
                .map(|id| {
                    let found = self.shared.store.get(id, tenant.clone(), false);
                    async move {
                        found.await.map(|record| (id, record.map(slim))).map_err(|failure| refusal::store(&failure))
                    }
                })
                .buffered(LOOKED_UP)
                .try_collect()
                .await?;
        let mut records = Vec::new();
        for (id, record) in found {
            match record {
                Some(record) => records.push(record),
                None => answer.refusals.push(refused(id, NotRedriven::Unknown, &ask.statuses)),
            }
        }
        Ok(records)
    }

    /// A page of those that a filter finds, with those that this call redrove before, which it finds no more: in the order
    /// of both, so that a repeat goes over the same page.
    async fn like(&self, filter: &Filter, ask: &RedriveAsk, answer: &mut RedriveAnswer) -> Result<Vec<Record>, Error> {
        let Page { mut records, next } = self.list(filter.clone()).await?;
        // Read afterwards: what goes from one to the other meanwhile is in both.
        let mut before = Vec::new();
        if ask.repeats && !ask.dry_run {
            let (tenant, limit) = (ask.tenant.as_deref().map(str::to_owned), filter.limit + 1);
            let past = Redrives { redrive: ask.redrive, tenant, beyond: filter.beyond, limit };
            before = self.shared.store.redriven_by(past).await.map_err(|failure| refusal::store(&failure))?;
        }
        let mut page: Vec<Uuid> =
            records.iter().map(|record| record.accepted.id).chain(before.iter().copied()).collect();
        page.sort_unstable();
        page.dedup();
        // Beyond the last of a list that goes on there may be others between those of before.
        let last_that_fits = page.get(filter.limit - 1).copied().filter(|_| page.len() > filter.limit);
        answer.next = [next, last_that_fits].into_iter().flatten().min();
        let is_in = |id: Uuid| answer.next.is_none_or(|last| id <= last);
        records.retain(|record| is_in(record.accepted.id));
        before.retain(|id| is_in(*id));
        answer.redriven = before;
        Ok(records)
    }
}

/// Without what may be large and decides nothing: many are looked at.
fn slim(mut record: Record) -> Record {
    if let Standing::Ended(Ended { outcome: Outcome::Succeeded(result), .. }) = &mut record.standing {
        result.data.clear();
    }
    record.tries.clear();
    record
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

fn unsuitable(id: Uuid, status: Status, statuses: &[Status]) -> Option<NotThis> {
    (!statuses.contains(&status)).then(|| refused(id, NotRedriven::Is(status), statuses))
}

fn refused(id: Uuid, why: NotRedriven, statuses: &[Status]) -> NotThis {
    let (reason, message) = match why {
        NotRedriven::Unknown => ("NOT_FOUND", "there is no such invocation".to_owned()),
        NotRedriven::Is(status @ (Status::Queued | Status::Leased)) => {
            ("NOT_ENDED", format!("it has not ended: it is {status:?}"))
        }
        NotRedriven::Is(Status::Succeeded) => ("SUCCEEDED", "it has succeeded".to_owned()),
        NotRedriven::Is(status) => ("OTHER_STATE", format!("it is {status:?}; asked for was {statuses:?}")),
    };
    NotThis { id, reason, message, retry_after: None }
}

fn no_room(id: Uuid, error: &Error) -> NotThis {
    NotThis { id, reason: "QUEUE_FULL", message: error.to_string(), retry_after: error.retry_after() }
}

fn behind(id: Uuid, retry_after: Option<Duration>) -> NotThis {
    let message = "one before it in its session was not redriven".to_owned();
    NotThis { id, reason: "BEHIND_ANOTHER", message, retry_after }
}

fn unavailable(id: Uuid, error: &Error) -> NotThis {
    if error.may_have_happened() {
        let message = format!("it may have been redriven: look at it, or ask again with the same redrive_id ({error})");
        return NotThis { id, reason: "IN_DOUBT", message, retry_after: error.retry_after() };
    }
    NotThis { id, reason: "UNAVAILABLE", message: error.to_string(), retry_after: error.retry_after() }
}
