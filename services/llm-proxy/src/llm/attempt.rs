//! One call's way through a model's deployments, until one answers or begins to.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use holdfast_resilience::{Permit, RetryBudget};
use holdfast_rpc::Error;
use tokio::time::Instant;
use tracing::Span;

use super::{Reply, Timing, trouble::Trouble};
use crate::{
    domain::{self, Answer, Ask, Need, Ticket, Usage, Want},
    gate::Place,
    metrics,
    model::{Deployment, Model},
    provider::{Call, Failure},
};

/// A key rests at least this long, whatever the provider says: else a `Retry-After: 0` would be a busy loop.
const REST_MIN: Duration = Duration::from_millis(100);
/// And at most this long: then the provider is asked whether it still means it.
const REST_MAX: Duration = Duration::from_secs(24 * 3_600);

pub(crate) struct Attempt<'a> {
    model: &'a Model,
    ask: &'a Ask,
    retries: &'a RetryBudget,
    deadline: Instant,
    max_output_tokens: Option<u32>,
    tenant: Arc<str>,
    /// What is set aside for it.
    need: Need,
    timing: Timing,
}

/// What a call holds while it is at the provider. Dropped, the call counts as given up.
pub(crate) struct Flight {
    place: Place,
    permit: Permit,
    started: Instant,
    timing: Timing,
    deployment: String,
}

/// What to do after a failure.
enum Next {
    /// The same deployment, with another key; the ticket keeps the call's place in line.
    Again(Option<Ticket>),
    /// The next deployment.
    Further,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        model: &'a Model,
        tenant: &str,
        ask: &'a Ask,
        retries: &'a RetryBudget,
        deadline: Instant,
    ) -> Self {
        let max_output_tokens = ask.max_output_tokens.or(model.max_output_tokens);
        let need = Need { input: domain::input_tokens(ask), output: domain::output_tokens(max_output_tokens) };
        retries.deposit();
        Self { model, ask, retries, deadline, max_output_tokens, tenant: tenant.into(), need, timing: Timing::default() }
    }

    /// Tries the deployments in their order: what the one that answered said, and the call that it is answering.
    ///
    /// # Errors
    /// The caller's own, or what the troubles come to.
    pub(crate) async fn land<T>(
        mut self,
        call: impl for<'c> Fn(&'c Deployment, Call<'c>) -> BoxFuture<'c, Result<T, Failure>>,
    ) -> Result<(T, Flight), Error> {
        let mut trouble = Trouble::new(&self.model.name);
        for deployment in &self.model.deployments {
            let mut next = Next::Again(None);
            let mut repeated = false;
            while let Next::Again(ticket) = next {
                let Some(flight) = self.enter(deployment, ticket, &mut trouble).await else { break };
                match call(deployment, self.call(deployment, &flight)).await {
                    Ok(value) => {
                        self.landed(deployment, &flight);
                        return Ok((value, flight));
                    }
                    Err(failure) => next = self.failed(deployment, flight, failure, &mut repeated, &mut trouble)?,
                }
            }
        }
        Err(trouble.told())
    }

    /// Waits for a place with a key; none where the circuit is open or the line is too long.
    async fn enter(
        &mut self,
        deployment: &Deployment,
        ticket: Option<Ticket>,
        trouble: &mut Trouble<'_>,
    ) -> Option<Flight> {
        let house = &deployment.house;
        // Whoever stands in line for a deployment that is down has waited for nothing.
        let circuit = deployment.breaker.snapshot();
        if !circuit.retry_after.is_zero() {
            trouble.open(&deployment.name, circuit.retry_after);
            return None;
        }
        let asked = Instant::now();
        let want = Want {
            lane: deployment.lane,
            tenant: self.tenant.clone(),
            weight: 1,
            priority: self.ask.priority,
            need: self.need,
            bytes: self.ask.bytes,
            deadline: Some(house.gate.at(self.deadline)),
            start_by: None,
        };
        let entered = house.gate.enter(want, ticket).await;
        self.timing.waited += asked.elapsed();
        let mut place = match entered {
            Ok(place) => place,
            Err(refusal) => {
                trouble.refused(&house.name, refusal);
                return None;
            }
        };
        let permit = match deployment.breaker.acquire() {
            Ok(permit) => permit,
            Err(refused) => {
                trouble.open(&deployment.name, refused.retry_after);
                return None;
            }
        };
        place.dispatch(self.need);
        self.timing.attempts += 1;
        let deployment = deployment.name.clone();
        Some(Flight { place, permit, started: Instant::now(), timing: self.timing, deployment })
    }

    fn call<'c>(&'c self, deployment: &'c Deployment, flight: &Flight) -> Call<'c> {
        Call {
            ask: self.ask,
            model: &deployment.upstream,
            max_output_tokens: self.max_output_tokens,
            key: deployment.house.key(flight.place.key()),
            arrival: flight.place.arrival(),
        }
    }

    fn landed(&self, deployment: &Deployment, flight: &Flight) {
        metrics::waited(&self.model.name, self.timing.waited);
        flight.place.taken();
        let span = Span::current();
        span.record("gen_ai.provider.name", deployment.house.name.as_str());
        span.record("gen_ai.response.model", deployment.upstream.as_str());
        span.record("holdfast.waited_ms", self.timing.waited.as_millis() as u64);
        span.record("holdfast.attempts", self.timing.attempts);
    }

    /// What a failure means for the key, the circuit and the call.
    fn failed(
        &mut self,
        deployment: &Deployment,
        flight: Flight,
        failure: Failure,
        repeated: &mut bool,
        trouble: &mut Trouble<'_>,
    ) -> Result<Next, Error> {
        let Flight { place, permit, started, .. } = flight;
        self.timing.called += started.elapsed();
        metrics::called(&deployment.name, failure.name(), started.elapsed());
        let house = &deployment.house;
        let key = &**place.key();
        let ticket = Some(place.ticket());
        match failure {
            Failure::Limited { retry_after } => {
                let rest = retry_after.unwrap_or(house.cooldown).clamp(REST_MIN, REST_MAX);
                tracing::warn!(provider = house.name, key, ?rest, "the provider said 429: the key rests");
                place.rest(rest);
                return Ok(Next::Again(ticket));
            }
            Failure::KeyDenied { .. } => {
                tracing::error!(provider = house.name, key, %failure, "a key is of no use: look after it");
                place.deny(house.quarantine);
                return Ok(Next::Again(ticket));
            }
            Failure::Rejected { field, message } => {
                permit.success();
                place.finish(Some(Usage::default()));
                return Err(Error::invalid(field.unwrap_or_else(|| "request".into()), message));
            }
            Failure::Untranslatable { field, message } => {
                permit.success();
                place.unsent();
                return Err(Error::invalid(field, message));
            }
            Failure::ContextLength { .. } => {
                permit.success();
                place.finish(Some(Usage::default()));
                trouble.failed(&deployment.name, &failure);
                return Ok(Next::Further);
            }
            Failure::NoModel { .. } => {
                permit.success();
                place.finish(Some(Usage::default()));
                tracing::error!(deployment = deployment.name, %failure, "a deployment is of no use: look after it");
                trouble.failed(&deployment.name, &failure);
                return Ok(Next::Further);
            }
            Failure::Unreachable => {
                permit.failure();
                place.unsent();
            }
            Failure::Unwell { .. } => {
                permit.failure();
                place.finish(None);
            }
            // The place is dropped: the provider may still be at it.
            Failure::Broken { .. } => permit.failure(),
        }
        tracing::warn!(deployment = deployment.name, %failure, "a call failed");
        trouble.failed(&deployment.name, &failure);
        // Once more with another key, where the budget has it: an outage must not meet twice the calls.
        let again = !std::mem::replace(repeated, true) && house.gate.keys_well() > 1 && self.retries.withdraw();
        Ok(if again { Next::Again(ticket) } else { Next::Further })
    }
}

impl Flight {
    /// The provider is done, and this is its answer.
    pub(crate) fn done(self, answer: Answer) -> Reply {
        let Self { place, permit, started, mut timing, deployment } = self;
        let took = started.elapsed();
        permit.success();
        place.finish(answer.usage);
        metrics::called(&deployment, "answered", took);
        timing.called += took;
        Reply { answer, deployment, timing, degraded: false }
    }

    /// The provider broke off in the middle of its answer. The place is dropped: it may still be at it.
    pub(crate) fn broke(self, failure: &Failure) {
        metrics::called(&self.deployment, failure.name(), self.started.elapsed());
        self.permit.failure();
    }
}
