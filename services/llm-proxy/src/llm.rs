//! The use cases: one answer, whole or as it comes.

mod attempt;
mod bounds;
mod content;
mod flight;
mod flow;
mod probe;
mod spans;
mod trouble;
mod unsettled;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use holdfast_config::Tenants;
use holdfast_resilience::RetryBudget;
use holdfast_rpc::{Caller, Error, deadline};
use tokio::{task::JoinSet, time::Instant};
use tracing::{Instrument, Span};

use self::{attempt::Attempt, unsettled::Unsettled};
use crate::{
    accounts::Accounts,
    config::Settings,
    domain::{Answer, Ask, Chunk, Part},
    model::{House, Model},
};

/// The longest name of a model that is looked for, in bytes.
const NAME_MAX: usize = 256;

/// Everything that this service does.
#[derive(Debug)]
pub(crate) struct Llm {
    models: BTreeMap<String, Model>,
    /// All providers, by name.
    houses: Vec<Arc<House>>,
    accounts: Accounts,
    /// What is agreed with tenants: their shares.
    tenants: Tenants,
    /// Repeats at the same provider, over all of them.
    retries: RetryBudget,
    /// How long a call waits that names no deadline.
    wait_max: Duration,
    /// How long the reader of a stream may take nothing.
    stall_max: Duration,
    /// How long a stream lasts that has no end by its caller.
    answer_max: Duration,
    unsettled: Arc<Unsettled>,
    /// Ends with this.
    _settling: JoinSet<()>,
}

/// For whom a model is called.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) tenant: String,
    /// The agent type that does the work, where the call is made for an invocation.
    pub(crate) agent: Option<String>,
    /// The invocation's session, where the call is made for one.
    pub(crate) session: Option<String>,
    pub(crate) invocation: Option<String>,
}

impl Who {
    /// Whoever calls, under the lease that they show.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where a service of the mesh names no tenant.
    pub(crate) fn of(caller: &Caller) -> Result<Self, Error> {
        let lease = caller.lease.as_ref();
        Ok(Self {
            tenant: caller.tenant()?.to_owned(),
            agent: lease.map(|lease| lease.agent.clone()).filter(|agent| !agent.is_empty()),
            session: lease.map(|lease| lease.session.clone()).filter(|session| !session.is_empty()),
            invocation: lease.map(|lease| lease.invocation_id.clone()),
        })
    }
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// `provider/upstream-model`; empty where none answered.
    pub(crate) deployment: String,
    pub(crate) timing: Timing,
    /// The model's fallback answered, and no model did.
    pub(crate) degraded: bool,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    pub(crate) waited: Duration,
    pub(crate) called: Duration,
    pub(crate) attempts: u32,
}

/// What a stream carries. Of an answer in the provider's own words, the end keeps no text.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Chunk(Chunk),
    End(Box<Reply>),
}

/// A stream that has begun, and how it came about so far: as in its [`Reply`].
pub(crate) struct Begun {
    pub(crate) deployment: String,
    pub(crate) waited: Duration,
    pub(crate) degraded: bool,
    pub(crate) pieces: Pieces,
}

pub(crate) type Pieces = BoxStream<'static, Result<Piece, Error>>;

impl Llm {
    pub(crate) fn new(
        models: Vec<Model>,
        houses: Vec<Arc<House>>,
        accounts: Accounts,
        tenants: Tenants,
        settings: &Settings,
    ) -> Self {
        let models = models.into_iter().map(|model| (model.name.clone(), model)).collect();
        let (wait_max, stall_max, answer_max) = (*settings.wait_max, *settings.stall_max, *settings.answer_max);
        let unsettled = Arc::<Unsettled>::default();
        Self {
            models,
            houses,
            accounts,
            tenants,
            retries: RetryBudget::default(),
            wait_max,
            stall_max,
            answer_max,
            _settling: JoinSet::from_iter([Arc::clone(&unsettled).run()]),
            unsettled,
        }
    }

    pub(crate) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// The answer, whole.
    ///
    /// # Errors
    /// NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE: as the contract says.
    pub(crate) async fn generate(&self, who: &Who, ask: &Ask) -> Result<Reply, Error> {
        let model = self.model(&ask.model)?;
        bounds::check(model, ask)?;
        let replied = async {
            let mut attempt = self.attempt(model, who, ask);
            let landed = attempt.land(|deployment, call| deployment.house.provider.whole(call)).await;
            match landed {
                Ok((answer, flight)) => {
                    let (reply, settlement) = flight.done(answer);
                    self.unsettled.add(settlement);
                    spans::answered(&Span::current(), &reply);
                    content::said(&Span::current(), model.traced.as_ref(), &reply.answer);
                    Ok(reply)
                }
                Err(error) => attempt.without(error),
            }
        };
        let span = spans::chat(model, who);
        content::asked(&span, model.traced.as_ref(), ask);
        replied.instrument(span).await
    }

    /// The answer as it comes. What fails before its first part falls back unseen. It must begin by the deadline that holds
    /// here, and end by one of its own: a caller may wait less for the beginning than for the whole.
    ///
    /// # Errors
    /// As [`Self::generate`]; in the stream UNAVAILABLE where the text ends before its end.
    pub(crate) async fn stream(self: &Arc<Self>, who: Who, ask: Ask, ends: Option<Instant>) -> Result<Begun, Error> {
        let model = self.model(&ask.model)?;
        bounds::check(model, &ask)?;
        let span = spans::chat(model, &who);
        content::asked(&span, model.traced.as_ref(), &ask);
        flow::open(self.clone(), who, ask, ends).instrument(span).await
    }

    /// The model of a name.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where no model can have it, NOT_FOUND where none has.
    pub(crate) fn model(&self, name: &str) -> Result<&Model, Error> {
        if name.len() > NAME_MAX {
            return Err(Error::invalid("model", format!("is longer than a name may be: {NAME_MAX} bytes")));
        }
        self.models.get(name).ok_or_else(|| Error::not_found(format!("model {name:?} in the configuration")))
    }

    pub(crate) fn houses(&self) -> Vec<Arc<House>> {
        self.houses.clone()
    }

    /// Settles what was answered: before whatever is decided or told by it.
    pub(crate) fn settle(&self) {
        self.unsettled.settle();
    }

    fn attempt<'a>(&'a self, model: &'a Model, who: &'a Who, ask: &'a Ask) -> Attempt<'a> {
        let latest = Instant::now() + self.wait_max;
        let deadline = deadline::current().map_or(latest, |deadline| deadline.min(latest));
        Attempt::new(self, model, who, ask, deadline)
    }
}

/// A fallback's answer as a stream.
fn fixed(reply: Reply) -> Begun {
    let chunk = Chunk { parts: vec![Part::Text(reply.answer.text.clone())], json: None };
    let (deployment, waited, degraded) = (reply.deployment.clone(), reply.timing.waited, reply.degraded);
    let pieces = futures::stream::iter([Ok(Piece::Chunk(chunk)), Ok(Piece::End(Box::new(reply)))]).boxed();
    Begun { deployment, waited, degraded, pieces }
}
