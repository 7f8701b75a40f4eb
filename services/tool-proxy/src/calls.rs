//! The use case: call a tool once, whatever crashes, and give every repeat the same answer.

mod ask;
mod entry;
mod fallback;
mod recall;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::{Caller, Error, Role, id, time, trace};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::entry::Entry;
use self::told::Telling;
use crate::catalog::{Catalog, Tool};
use crate::domain::{Answer, Effect, Finding, Reply, Slot, Timing, User, fingerprint};
use crate::journal::{Authority, Found, Journal, Persistence, Written};

/// How often a repeat looks whether the call it waits for has ended: at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Calls tools.
#[derive(Debug)]
pub(crate) struct Calls {
    catalog: Arc<Catalog>,
    journal: Journal,
    limits: Limits,
    /// Effectful calls go on when their caller is gone: what they come to must be recorded.
    under_way: TaskTracker,
}

/// How long the state service is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For an intent of which nobody knows whether it was written.
    pub(crate) intend_for: Duration,
    /// For a result that is known.
    pub(crate) record_for: Duration,
}

/// What a caller asks for.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) tool: String,
    pub(crate) arguments: Bytes,
    pub(crate) tenant: String,
    pub(crate) user: User,
    /// Where its record lives; none for a call of its own.
    pub(crate) slot: Option<Slot>,
}

impl From<&Caller> for User {
    /// A lease goes before the credential: the work under it is an agent's, whoever does it.
    fn from(caller: &Caller) -> Self {
        match (&caller.lease, caller.role) {
            (Some(lease), _) => Self::Agent(lease.agent.clone()),
            (None, Role::Operator | Role::Mesh) => Self::Operator,
            (None, Role::Caller | Role::Worker) => Self::Other(caller.principal.clone()),
        }
    }
}

/// A command that can be carried out.
#[derive(Debug)]
struct Call {
    tool: Arc<Tool>,
    arguments: Map<String, Value>,
    /// Empty where nothing is kept by it.
    fingerprint: String,
    tenant: String,
    user: User,
    slot: Option<Slot>,
    /// The same for every attempt and, where there is a record, for every repeat. A read_only tool needs none.
    idempotency_key: String,
}

/// Why a call ends without an answer of its own.
#[derive(Debug)]
enum Stop {
    /// The caller gets an error, and nothing was sent, or nothing that is known.
    Refused(Error),
    /// The same call is under way already: it is as it was found.
    Overtaken(Box<Found>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Calls {
    pub(crate) fn new(catalog: Arc<Catalog>, journal: Journal, limits: Limits) -> Self {
        Self { catalog, journal, limits, under_way: TaskTracker::new() }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Waits for the calls whose callers are gone. Each ends by its own time limits.
    pub(crate) async fn drain(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Calls a tool, or answers with its fallback, or with what is recorded. A caller who goes away drops this: what may
    /// be cut off is cut off then, down to the tool.
    pub(crate) async fn call(self: &Arc<Self>, command: Command) -> Result<Reply, Error> {
        let span = told::span(&command);
        let tool = match self.catalog.find(&command.tool).await {
            Ok(tool) => tool,
            Err(error) => return self.recall(&command, error).await,
        };
        let telling = Telling::begin(span.clone(), &tool, &command.arguments);
        let reply = self.carry_out(&tool, command).instrument(span).await;
        telling.end(&reply);
        reply
    }

    async fn carry_out(self: &Arc<Self>, tool: &Arc<Tool>, command: Command) -> Result<Reply, Error> {
        if !tool.permission.admits(&command.user) {
            return Err(Error::permission_denied(format!("the tool {:?} is not for {}", tool.name, command.user)));
        }
        let arguments = match tool.schema.read(&command.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return self.recall(&command, error).await,
        };
        tool.upstream.accepts(&arguments)?;
        let kept = command.slot.is_some() || tool.last_good.is_some();
        let call = Call {
            fingerprint: if kept { fingerprint(&tool.name, &arguments) } else { String::new() },
            idempotency_key: match (&command.slot, tool.effect) {
                (_, Effect::ReadOnly) => String::new(),
                (Some(slot), _) => slot.idempotency_key(),
                (None, _) => id::new(),
            },
            tool: Arc::clone(tool),
            arguments,
            tenant: command.tenant,
            user: command.user,
            slot: command.slot,
        };
        match &call.slot {
            None => self.unrecorded(&call).await,
            Some(_) if tool.effect == Effect::Effectful => self.outlasting_the_caller(call).await,
            Some(slot) => self.recorded(&call, slot).await,
        }
    }

    async fn unrecorded(&self, call: &Call) -> Result<Reply, Error> {
        let mut timing = Timing::default();
        match self.perform(call, &mut None, &mut timing).await {
            Ok(answer) => Ok(Reply { answer, timing, replayed: false }),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Overtaken(_)) => Err(Error::internal("a call without a record was overtaken")),
        }
    }

    async fn outlasting_the_caller(self: &Arc<Self>, call: Call) -> Result<Reply, Error> {
        let (this, trace) = (Arc::clone(self), trace::outgoing());
        let work = async move {
            let slot = call.slot.as_ref().ok_or_else(|| Error::internal("a call without a record was detached"))?;
            match trace {
                Some(trace) => trace::scope(trace, this.recorded(&call, slot)).await,
                None => this.recorded(&call, slot).await,
            }
        };
        self.under_way.spawn(work.in_current_span()).await.map_err(Error::internal)?
    }

    async fn recorded(&self, call: &Call, slot: &Slot) -> Result<Reply, Error> {
        if let Some(found) = self.journal.find(slot).await? {
            return self.repeat(call, slot, found).await;
        }
        let patience = self.catalog.patience(&call.tool);
        let mut entry = Some(Entry::new(&self.journal, self.limits, slot, call, patience));
        let mut timing = Timing::default();
        let outcome = match self.perform(call, &mut entry, &mut timing).await {
            Ok(answer) => match entry {
                Some(entry) => entry.settle(answer).await,
                None => Err(Error::internal("the record of a call is gone")),
            },
            Err(Stop::Overtaken(found)) => {
                let reply = self.repeat(call, slot, found).await?;
                let waited = timing.waited + reply.timing.waited;
                return Ok(Reply { timing: Timing { waited, ..timing }, ..reply });
            }
            Err(Stop::Refused(error)) => Err(error),
        };
        match outcome {
            Ok((answer, replayed)) => Ok(Reply { answer, timing, replayed }),
            // An attempt may have had its effect before the state service could not be reached any more.
            Err(error) if timing.attempts > 0 && call.tool.effect != Effect::ReadOnly => Err(error.maybe_happened()),
            Err(error) => Err(error),
        }
    }

    /// What a repeat gets: the recorded answer, at once or when it is there, or the news that it is lost.
    async fn repeat(&self, call: &Call, slot: &Slot, mut found: Box<Found>) -> Result<Reply, Error> {
        let (started, mut look) = (Instant::now(), LOOK.0);
        let reply =
            |answer, replayed, waited| Reply { answer, timing: Timing { waited, ..Timing::default() }, replayed };
        let mut waited = Duration::ZERO;
        loop {
            match found.record.find(&call.fingerprint, time::now_micros(), started.elapsed()) {
                Finding::OtherCall => return Err(other_call(&found)),
                Finding::Answered(answer) => return Ok(reply(*answer, true, waited)),
                Finding::UnderWay(left) => {
                    sleep(look.min(left)).await;
                    look = (look * 2).min(LOOK.1);
                    found = self.journal.find(slot).await?.unwrap_or(found);
                    waited = started.elapsed();
                }
                Finding::Lost => match self.give_up(call, slot, &found).await? {
                    Ok(answer) => return Ok(reply(answer, false, waited)),
                    Err(moved) => found = moved,
                },
            }
        }
    }

    /// Records that nobody knows the outcome, if that is still so.
    async fn give_up(&self, call: &Call, slot: &Slot, found: &Found) -> Result<Result<Answer, Box<Found>>, Error> {
        let unknown = Answer::unknown(&call.tool.name, "OUTCOME_LOST");
        let Some(record) = found.record.clone().settled(&unknown) else {
            return Ok(Err(Box::new(found.clone())));
        };
        let until = Persistence::Always(Instant::now() + self.limits.intend_for);
        match self.journal.write(slot, &record, Some(&found.version), Authority::Mesh, until).await? {
            Written::Taken(_) => Ok(Ok(unknown)),
            Written::Moved(Some(moved)) => Ok(Err(moved)),
            Written::Moved(None) => Err(Error::internal("the record of a call was deleted under way")),
        }
    }
}

fn other_call(found: &Found) -> Error {
    Error::already_exists(
        found.record.fingerprint.clone(),
        format!("this place holds another call already, of the tool {:?}", found.record.tool),
    )
}
