//! One call's way through a model's deployments, until one answers or begins to.

mod entry;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_rpc::Error;
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use super::{
    Llm, Reply, Timing, Who,
    flight::Flight,
    probe, spans,
    trouble::{Passed, Reason, Trouble},
};
use crate::{
    accounts::Charge,
    domain::{Answer, Ask, Estimate, Finish, Ticket},
    metrics,
    model::{Deployment, Model, NamedKey},
    provider::{Call, Failure},
};

/// What providers call the limit of tokens.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// A call on its way.
pub(crate) struct Attempt<'a> {
    llm: &'a Llm,
    model: &'a Model,
    who: &'a Who,
    ask: &'a Ask,
    tenant: Arc<str>,
    /// When waiting makes no sense any more.
    deadline: Instant,
    max_output_tokens: Option<u32>,
    /// What is set aside for it: before it waits for the first time.
    charge: Option<Charge>,
    timing: Timing,
    trouble: Trouble<'a>,
}

/// A call at one deployment.
struct Visit<'d> {
    deployment: &'d Arc<Deployment>,
    /// When it would rather go on than start here.
    start_by: Option<Instant>,
    estimate: Estimate,
    /// Its place in the order, where it has had one.
    ticket: Option<Ticket>,
    repeated: bool,
    /// The key that the provider forbade it.
    forbidden: Option<Arc<NamedKey>>,
}

/// What to do after a failure.
enum Next {
    /// The same deployment, with another key or later.
    Again,
    /// The next deployment.
    Further(Passed),
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(llm: &'a Llm, model: &'a Model, who: &'a Who, ask: &'a Ask, deadline: Instant) -> Self {
        llm.retries.deposit();
        Self {
            llm,
            model,
            who,
            ask,
            tenant: who.tenant.as_str().into(),
            deadline,
            max_output_tokens: ask.max_output_tokens.or(model.max_output_tokens),
            charge: None,
            timing: Timing::default(),
            trouble: Trouble::new(&model.name),
        }
    }

    /// Tries the deployments in their order: what the one that answered said, and the call that it is answering.
    ///
    /// # Errors
    /// The caller's own, or what the troubles come to.
    pub(crate) async fn land<T: Send + 'static>(
        &mut self,
        call: impl for<'c> Fn(&'c Deployment, Call<'c>) -> BoxFuture<'c, Result<T, Failure>> + Copy + Send + Sync + 'static,
    ) -> Result<(T, Flight), Error> {
        let order = self.model.order();
        // With nowhere else to go there is nothing to hurry for.
        let patience = self.model.fallback_after.filter(|_| order.len() > 1);
        for at in order {
            let start_by = patience.map(|patience| Instant::now() + patience);
            if let Some(landed) = self.visit(at, start_by, call).await? {
                return Ok(landed);
            }
        }
        // What can be had is only slow: the deployment that starts first is waited at.
        for at in self.trouble.slow() {
            if let Some(landed) = self.visit(at, None, call).await? {
                return Ok(landed);
            }
        }
        Err(self.trouble.told())
    }

    /// The last fallback: a fixed answer where no deployment can be had. A refusal of the request itself stays one.
    pub(crate) fn without(&self, error: Error) -> Result<Reply, Error> {
        spans::failed(&Span::current(), error.reason());
        let gone = error.code() == Code::Unavailable;
        let Some(text) = self.model.fallback.as_ref().filter(|_| gone) else { return Err(error) };
        tracing::warn!(
            model = self.model.name,
            reason = error.reason(),
            "no deployment answered: the model's fallback did"
        );
        self.tell_passed();
        let answer = Answer { text: text.clone(), finish: Finish::Stop, ..Answer::default() };
        Ok(Reply { answer, deployment: String::new(), timing: self.timing, degraded: true })
    }

    /// The deployments that were passed by, each with the reason.
    fn passed(&self) -> impl Iterator<Item = (&str, Reason)> {
        self.trouble.reasons().map(|(at, reason)| (self.model.deployments[at].name.as_str(), reason))
    }

    /// Tries one deployment for as long as that makes sense; nothing where the call is to go on.
    async fn visit<T: Send + 'static>(
        &mut self,
        at: usize,
        start_by: Option<Instant>,
        call: impl for<'c> Fn(&'c Deployment, Call<'c>) -> BoxFuture<'c, Result<T, Failure>> + Copy + Send + Sync + 'static,
    ) -> Result<Option<(T, Flight)>, Error> {
        let deployment = &self.model.deployments[at];
        let estimate = deployment.estimator.estimate(self.ask, self.max_output_tokens);
        let mut visit = Visit { deployment, start_by, estimate, ticket: None, repeated: false, forbidden: None };
        let passed = loop {
            // What the calls before have left free is there for this one.
            self.llm.settle();
            self.admit(&visit.estimate).await?;
            let flight = match self.enter(&visit).await {
                Ok(flight) => flight,
                Err(passed) => break passed,
            };
            let (flight, heard) = if flight.is_probe() {
                Box::pin(probe::ask(flight, self.ask, self.max_output_tokens, call)).await?
            } else {
                let heard = call(deployment, self.call(deployment, &flight)).await;
                (flight, heard)
            };
            let failure = match heard {
                Ok(value) => {
                    self.trouble.forget(at);
                    return Ok(Some((value, self.landed(deployment, flight))));
                }
                Err(failure) => failure,
            };
            match self.failed(&mut visit, flight, failure)? {
                Next::Again => {}
                Next::Further(passed) => break passed,
            }
        };
        self.trouble.pass(at, passed);
        Ok(None)
    }

    /// Sets aside what the call is going to use, before it waits for the first time, and again after a loss.
    async fn admit(&mut self, estimate: &Estimate) -> Result<(), Error> {
        match &mut self.charge {
            Some(charge) => charge.renew(),
            None => {
                self.charge = Some(self.llm.accounts.admit(self.who, &self.model.name, estimate.need).await?);
                Ok(())
            }
        }
    }

    fn call<'c>(&'c self, deployment: &'c Deployment, flight: &'c Flight) -> Call<'c> {
        Call {
            ask: self.ask,
            model: &deployment.upstream,
            max_output_tokens: self.max_output_tokens,
            key: flight.secret(),
            arrival: flight.arrival(),
        }
    }

    fn landed(&mut self, deployment: &Deployment, flight: Flight) -> Flight {
        self.model.waits.waited(self.timing.waited);
        self.tell_passed();
        spans::landed(deployment, &self.timing);
        flight.costs(self.charge.take())
    }

    /// Counts the deployments that were passed by for what answers now, and notes them in the trace.
    fn tell_passed(&self) {
        for (from, reason) in self.passed() {
            metrics::fell_back(&self.model.name, from, reason.name());
        }
        spans::fell_back(self.passed());
    }

    /// A failure that leaves open what the provider did may have cost something.
    fn pay(&mut self, failure: &Failure) {
        let Some(charge) = &mut self.charge else { return };
        match failure {
            Failure::Broken { .. } => charge.lost(),
            _ => charge.unused(),
        }
    }

    /// What the call does after a failure.
    fn failed(&mut self, visit: &mut Visit<'_>, flight: Flight, failure: Failure) -> Result<Next, Error> {
        // What was answered before this speaks first.
        self.llm.settle();
        let deployment = visit.deployment;
        let failure = visit.judge(&flight, failure);
        let (ticket, took) = flight.failed(&failure);
        self.timing.called += took;
        visit.ticket = Some(ticket);
        self.pay(&failure);
        match failure {
            Failure::Limited { .. } | Failure::KeyDenied { .. } | Failure::Forbidden { .. } => return Ok(Next::Again),
            Failure::Rejected { field, message } => {
                let field = field.unwrap_or_else(|| "request".into());
                // We may have said it by another name than the caller did.
                let limit = LIMITS.contains(&field.as_str());
                return Err(Error::invalid(if limit { self.ask.limited_by.into() } else { field }, message));
            }
            // Another one is waited for: whoever comes too late for its place has done nothing yet.
            Failure::Withheld => {
                self.timing.attempts -= 1;
                return Ok(Next::Again);
            }
            Failure::ContextLength { .. }
            | Failure::Untranslatable { .. }
            | Failure::NoModel { .. }
            | Failure::Doubtful { .. }
            | Failure::ForbiddenToAll { .. } => {}
            Failure::Unreachable | Failure::Unwell { .. } | Failure::Broken { .. } => {
                tracing::warn!(deployment = deployment.name, %failure, "a call failed");
                // Once more with another key, where the budget has it: an outage must not meet twice the calls.
                let once = !std::mem::replace(&mut visit.repeated, true);
                if once && deployment.house.gate.keys_well() > 1 && self.llm.retries.withdraw() {
                    return Ok(Next::Again);
                }
            }
        }
        Ok(Next::Further(Passed::failed(&deployment.name, &failure)))
    }
}

impl Visit<'_> {
    /// What is forbidden with one key may be the key's fault. With two it is none's, and the first comes back: else one
    /// caller's words could take away all keys. With no other key to ask nobody knows.
    fn judge(&mut self, flight: &Flight, failure: Failure) -> Failure {
        let Failure::Forbidden { message } = failure else { return failure };
        match self.forbidden.replace(Arc::clone(flight.key())) {
            Some(first) => {
                self.deployment.house.lift(&first);
                Failure::ForbiddenToAll { message }
            }
            None if self.deployment.house.gate.keys_well() < 2 => Failure::Doubtful { message },
            None => Failure::Forbidden { message },
        }
    }
}
