//! From the wire to commands: everything that comes in is checked here, and refused by the name of its field.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdfast_config::Size;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::{Caller, Error};
use pb::report_progress_request::Event as PbTelling;
use uuid::Uuid;

use super::check::{at_most, name, optional_key, optional_time, payload_of, size, span_of, text, usage};
use crate::config::Config;
use crate::domain::invocation::Failure;
use crate::domain::retry::RetryPolicy;
use crate::queue::{Ending, Hello, Submission, Telling};

/// A label's value.
const LABEL_BYTES_MAX: usize = 1_024;
/// A reason's word.
const REASON_BYTES_MAX: usize = 128;
/// A message for people.
const MESSAGE_BYTES_MAX: usize = 16 * 1_024;
/// A `traceparent`; longer ones are no such thing.
const TRACEPARENT_BYTES_MAX: usize = 64;
/// Reasons that end an invocation at once, and agent types of one worker.
const LIST_MAX: usize = 256;
/// Factor between one delay and the next.
const MULTIPLIER_MAX: f64 = 100.0;

/// Decodes within the limits of a configuration.
pub(super) struct Decoder {
    config: Config,
}

impl Decoder {
    pub(super) fn new(config: Config) -> Self {
        Self { config }
    }

    pub(super) fn submission(&self, caller: &Caller, request: pb::EnqueueRequest) -> Result<Submission, Error> {
        let tenant = tenant(caller, &request.tenant)?;
        let spec = request.spec.ok_or_else(|| Error::invalid("spec", "is missing"))?;
        let payload = spec.payload.unwrap_or_default();
        if !(-100..=100).contains(&spec.priority) {
            return Err(Error::invalid("spec.priority", "must be from -100 to 100"));
        }
        let not_before = optional_time("spec.not_before", spec.not_before)?;
        let deadline = optional_time("spec.deadline", spec.deadline)?;
        if not_before.zip(deadline).is_some_and(|(not_before, deadline)| not_before >= deadline) {
            return Err(Error::invalid("spec.not_before", "must be before spec.deadline, or it never starts"));
        }
        Ok(Submission {
            tenant: tenant.into(),
            agent: name("spec.agent", &spec.agent)?.into(),
            payload: payload_of("spec.payload", payload, self.config.payload_max)?,
            session: optional_key("spec.session", spec.session)?,
            idempotency_key: optional_key("spec.idempotency_key", spec.idempotency_key)?,
            priority: spec.priority,
            not_before,
            deadline,
            retry: self.retry(spec.retry_policy)?,
            labels: self.labels(spec.labels)?,
            parent: (!spec.parent_id.is_empty()).then(|| id("spec.parent_id", &spec.parent_id)).transpose()?,
            traceparent: text("traceparent", request.traceparent, TRACEPARENT_BYTES_MAX)?,
        })
    }

    fn retry(&self, policy: Option<pb::RetryPolicy>) -> Result<RetryPolicy, Error> {
        let mut retry = self.config.retry();
        let Some(policy) = policy else { return Ok(retry) };
        if policy.max_attempts > self.config.attempts_max {
            let why = format!("must not be more than {}", self.config.attempts_max);
            return Err(Error::invalid("spec.retry_policy.max_attempts", why));
        }
        if policy.max_attempts > 0 {
            retry.attempts_max = policy.max_attempts;
        }
        if let Some(span) = &policy.initial_backoff {
            retry.backoff.initial = span_of("spec.retry_policy.initial_backoff", span)?;
        }
        if let Some(span) = &policy.max_backoff {
            retry.backoff.max = span_of("spec.retry_policy.max_backoff", span)?;
        }
        if policy.backoff_multiplier != 0.0 {
            if !(1.0..=MULTIPLIER_MAX).contains(&policy.backoff_multiplier) {
                return Err(Error::invalid("spec.retry_policy.backoff_multiplier", "must be from 1 to 100"));
            }
            retry.backoff.multiplier = policy.backoff_multiplier;
        }
        let field = "spec.retry_policy.non_retryable_reasons";
        at_most(field, policy.non_retryable_reasons.len(), LIST_MAX)?;
        retry.final_reasons = policy
            .non_retryable_reasons
            .into_iter()
            .map(|reason| text(field, reason, REASON_BYTES_MAX))
            .collect::<Result<_, _>>()?;
        Ok(retry)
    }

    fn labels(&self, labels: HashMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
        at_most("spec.labels", labels.len(), self.config.labels_max)?;
        labels
            .into_iter()
            .map(|(key, value)| {
                Ok((name("spec.labels", &key)?.to_owned(), text("spec.labels", value, LABEL_BYTES_MAX)?))
            })
            .collect()
    }

    pub(super) fn hello(&self, tenant: Option<Arc<str>>, hello: pb::work_request::Hello) -> Result<Hello, Error> {
        at_most("hello.held_tokens", hello.held_tokens.len(), self.config.credits_max as usize)?;
        Ok(Hello {
            worker: self.worker(&hello.worker)?,
            agents: self.agents(&hello.agents)?,
            tenant,
            held_tokens: hello.held_tokens,
            credits: hello.credits,
        })
    }

    /// No worker has more leases than it can ask for at once.
    pub(super) fn heartbeat(&self, request: pb::HeartbeatRequest) -> Result<Vec<String>, Error> {
        at_most("tokens", request.tokens.len(), self.config.credits_max as usize)?;
        Ok(request.tokens)
    }

    pub(super) fn worker(&self, worker: &str) -> Result<Arc<str>, Error> {
        Ok(name("worker", worker)?.into())
    }

    pub(super) fn agents(&self, agents: &[String]) -> Result<Vec<Arc<str>>, Error> {
        if agents.is_empty() {
            return Err(Error::invalid("agents", "must name at least one agent type"));
        }
        at_most("agents", agents.len(), LIST_MAX)?;
        agents.iter().map(|agent| Ok(name("agents", agent)?.into())).collect()
    }

    /// A token, and what its holder reports.
    pub(super) fn completion(&self, request: pb::CompleteRequest) -> (String, Result<Ending, Error>) {
        let result = payload_of("result", request.result.unwrap_or_default(), self.config.result_max);
        (request.token, result.map(|result| Ending::Complete { result, usage: usage(request.usage) }))
    }

    pub(super) fn failing(&self, request: pb::FailRequest) -> (String, Result<Ending, Error>) {
        let failure = self.failure(request.failure.unwrap_or_default());
        (request.token, failure.map(|failure| Ending::Fail { failure, usage: usage(request.usage) }))
    }

    fn failure(&self, failure: pb::Failure) -> Result<Failure, Error> {
        Ok(Failure {
            reason: name("failure.reason", &failure.reason)?.to_owned(),
            message: self.message("failure.message", failure.message)?,
            retryable: failure.retryable,
        })
    }

    pub(super) fn telling(&self, request: pb::ReportProgressRequest) -> (String, Result<Telling, Error>) {
        let max = self.config.chunk_max;
        let telling = match request.event {
            Some(PbTelling::Chunk(data)) => size("chunk", data.len(), max).map(|()| Telling::Chunk(data)),
            Some(PbTelling::Progress(progress)) => progress_of(progress, max),
            None => Err(Error::invalid("event", "must be progress or a chunk")),
        };
        (request.token, telling)
    }

    /// Words for people: too long is refused, so that nothing is cut silently.
    pub(super) fn message(&self, field: &'static str, message: String) -> Result<String, Error> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Error::invalid(field, format!("must be at most {MESSAGE_BYTES_MAX} bytes")));
        }
        Ok(message)
    }
}

fn progress_of(progress: pb::invocation_event::Progress, max: Size) -> Result<Telling, Error> {
    size("progress.message", progress.message.len(), max)?;
    if progress.fraction.is_some_and(|fraction| !(0.0..=1.0).contains(&fraction)) {
        return Err(Error::invalid("progress.fraction", "must be from 0 to 1"));
    }
    Ok(Telling::Progress { message: progress.message, fraction: progress.fraction })
}

/// For whom a call acts: a service of the mesh may say, anybody else only their own tenant.
pub(super) fn tenant(caller: &Caller, said: &str) -> Result<String, Error> {
    match caller.named_tenant() {
        Some(own) if said.is_empty() || said == own => Ok(own.to_owned()),
        Some(_) => Err(Error::permission_denied("tenant: only a service of the mesh may name another tenant")),
        None if said.is_empty() => Ok(caller.tenant()?.to_owned()),
        None => Ok(name("tenant", said)?.to_owned()),
    }
}

/// An id, by its field.
pub(super) fn id(field: &'static str, text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::invalid(field, "is not an id (a UUID)"))
}
