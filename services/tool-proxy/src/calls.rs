//! The use case: call a tool once, whatever crashes, and give every repeat the same answer.

mod ask;
mod entry;
mod fallback;
mod outlasting;
mod recall;
mod recorded;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::{Caller, Error, Role, id};
use serde_json::{Map, Value};
use tracing::Instrument as _;

use self::outlasting::Outlasting;
use self::told::Telling;
use crate::catalog::{Catalog, Tool};
use crate::domain::{Effect, Reply, Slot, Timing, User, fingerprint};
use crate::journal::{Found, Journal};

/// Longer than the name of any tool: longer ones come from elsewhere, and go into no trace and no answer.
const NAME_BYTES_MAX: usize = 128;

/// Calls tools.
#[derive(Debug)]
pub(crate) struct Calls {
    catalog: Arc<Catalog>,
    journal: Journal,
    limits: Limits,
    outlasting: Outlasting,
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
    /// Of its arguments, as they came.
    bytes: usize,
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
        Self { catalog, journal, limits, outlasting: Outlasting::new() }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Waits for the calls whose callers are gone. Each ends by its own time limits.
    pub(crate) async fn drain(&self) {
        self.outlasting.drain().await;
    }

    /// Calls a tool, or answers with its fallback, or with what is recorded. A caller who goes away drops this: what may
    /// be cut off is cut off then, down to the tool.
    pub(crate) async fn call(self: &Arc<Self>, command: Command) -> Result<Reply, Error> {
        if command.tool.len() > NAME_BYTES_MAX {
            return Err(Error::invalid("tool", format!("has at most {NAME_BYTES_MAX} bytes")));
        }
        let span = told::span(&command);
        let tool = match self.catalog.find(&command.tool).await {
            Ok(tool) => tool,
            // Whose the tool was nobody knows any more. An invocation's own calls are its own.
            Err(error) if command.user == User::Operator || command.slot.as_ref().is_some_and(Slot::is_leased) => {
                return Box::pin(self.recall(&command, error)).await;
            }
            Err(error) => return Err(error),
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
        let taken = tool.schema.read(&command.arguments).and_then(|arguments| {
            tool.upstream.accepts(&arguments)?;
            Ok(arguments)
        });
        let arguments = match taken {
            Ok(arguments) => arguments,
            Err(error) => return Box::pin(self.recall(&command, error)).await,
        };
        let kept = command.slot.is_some() || tool.last_good.is_some();
        let call = Arc::new(Call {
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
            bytes: command.arguments.len(),
        });
        match &call.slot {
            None => self.unrecorded(&call).await,
            // On the heap, for the sake of those without a record: their futures are small.
            Some(slot) => Box::pin(self.recorded(&call, slot)).await,
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
}

fn other_call(found: &Found) -> Error {
    Error::already_exists(
        found.record.fingerprint.clone(),
        format!("this place holds another call already, of the tool {:?}", found.record.tool),
    )
}
