//! For callers: submit an invocation, and follow it to its end.

mod watch;

use std::time::Duration;

use holdfast_proto::{
    gateway::v1::{
        CancelInvocationRequest, GetInvocationRequest, ListInvocationsRequest, ListInvocationsResponse,
        RedriveInvocationsRequest, RedriveInvocationsResponse, RunInvocationRequest, SubmitInvocationRequest,
        SubmitInvocationResponse, invocation_service_client::InvocationServiceClient,
    },
    queue::v1::{Invocation, InvocationSpec, Payload},
};
use holdfast_rpc::id;
use serde::Serialize;

pub use watch::Events;

use crate::{
    Endpoints, Error,
    calls::{Caller, Limits},
    endpoints::{Link, Links},
    state::State,
    tools::Tools,
};

/// How long a call goes on, retries and waits included, unless the client says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Largest answer taken from the gateway: a page of invocations.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A caller of the mesh. Cheap to clone; connections are made when they are first used.
///
/// Refusals that pass are waited out as the mesh asks, within the call's time: `RESOURCE_EXHAUSTED` until there is room,
/// `UNAVAILABLE` on a budget, so that a failing mesh gets hardly more requests than there are calls. A submission is safe to
/// repeat, because it has an idempotency key: yours, or one that is minted here.
#[derive(Debug, Clone)]
pub struct Client {
    links: Links,
    caller: Caller,
    timeout: Duration,
}

impl Client {
    /// A client of the gateway at `url`; several URLs are separated by commas. An empty key shows none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where something is malformed. Nothing is connected yet.
    pub fn connect(url: &str, api_key: &str) -> Result<Self, Error> {
        Self::over(&Endpoints::gateway(url).api_key(api_key))
    }

    /// A client over endpoints of any kind.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn over(endpoints: &Endpoints) -> Result<Self, Error> {
        Ok(Self { links: endpoints.links()?, caller: Caller::client(), timeout: TIMEOUT_DEFAULT })
    }

    /// The same with another limit on the time of each call. A deadline in force ends calls earlier.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The tenant's state.
    pub fn state(&self) -> State {
        State::new(self.links.state.clone(), self.caller.clone())
    }

    /// The mesh's tools and circuits.
    pub fn tools(&self) -> Tools {
        Tools::new(self.links.tools.clone(), self.caller.clone(), self.timeout)
    }

    /// Submits an invocation; it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] (the key was used with another payload), [`Error::Invalid`], [`Error::Busy`],
    /// [`Error::Unavailable`], [`Error::Denied`].
    pub async fn submit(&self, spec: InvocationSpec) -> Result<SubmitInvocationResponse, Error> {
        let spec = with_key(spec);
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (SubmitInvocationRequest { spec: Some(spec.clone()) }, self.gateway());
                async move { client.submit_invocation(request).await }
            })
            .await
    }

    /// Submits an invocation and waits for its end, whatever that is; [`Client::timeout`] ends the wait, not the work.
    ///
    /// # Errors
    /// As [`Client::submit`], and [`Error::Deadline`].
    pub async fn run(&self, spec: InvocationSpec) -> Result<Invocation, Error> {
        let spec = with_key(spec);
        let ended = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (RunInvocationRequest { spec: Some(spec.clone()) }, self.gateway());
                async move { client.run_invocation(request).await }
            })
            .await?;
        Ok(ended.invocation.unwrap_or_default())
    }

    /// One invocation.
    ///
    /// # Errors
    /// [`Error::NotFound`], and those of every call.
    pub async fn get(&self, invocation_id: &str) -> Result<Invocation, Error> {
        let found = self
            .caller
            .call(self.limits(), || {
                let request = GetInvocationRequest { invocation_id: invocation_id.to_owned() };
                let mut client = self.gateway();
                async move { client.get_invocation(request).await }
            })
            .await?;
        Ok(found.invocation.unwrap_or_default())
    }

    /// A page of invocations by filter, newest first.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list(&self, filter: ListInvocationsRequest) -> Result<ListInvocationsResponse, Error> {
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (filter.clone(), self.gateway());
                async move { client.list_invocations(request).await }
            })
            .await
    }

    /// Cancels an invocation, running or not.
    ///
    /// # Errors
    /// [`Error::Precondition`] once it has ended otherwise, [`Error::NotFound`], and those of every call.
    pub async fn cancel(&self, invocation_id: &str, reason: &str) -> Result<Invocation, Error> {
        let request = CancelInvocationRequest { invocation_id: invocation_id.to_owned(), reason: reason.to_owned() };
        let cancelled = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.gateway());
                async move { client.cancel_invocation(request).await }
            })
            .await?;
        Ok(cancelled.invocation.unwrap_or_default())
    }

    /// Lets invocations that ended without success run again: those named, or a page of those like a filter. A lost answer
    /// does no harm: the call has an id, yours or one that is minted here, under which nothing is redriven twice.
    ///
    /// # Errors
    /// [`Error::Invalid`], and those of every call. What was not redriven, and why, is part of the answer.
    pub async fn redrive(&self, mut request: RedriveInvocationsRequest) -> Result<RedriveInvocationsResponse, Error> {
        if request.redrive_id.is_empty() {
            request.redrive_id = id::new();
        }
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.gateway());
                async move { client.redrive_invocations(request).await }
            })
            .await
    }

    /// The events of an invocation from an offset on (0: all), past and coming. Goes on over broken connections, and
    /// ends after the terminal event.
    pub fn watch(&self, invocation_id: &str, from_offset: u64) -> Events {
        Events::new(self.clone(), invocation_id.to_owned(), from_offset)
    }

    fn limits(&self) -> Limits {
        Limits { attempt: self.timeout, whole: self.timeout, patience: self.timeout }
    }

    fn gateway(&self) -> InvocationServiceClient<Link> {
        InvocationServiceClient::new(self.links.invocations.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

/// An invocation of an agent with a JSON input; the rest of the spec takes its defaults.
///
/// # Errors
/// [`Error::Json`] where the input has no JSON form.
pub fn invocation(agent: &str, input: &impl Serialize) -> Result<InvocationSpec, Error> {
    let data = serde_json::to_vec(input)?.into();
    let payload = Payload { data, content_type: "application/json".into() };
    Ok(InvocationSpec { agent: agent.to_owned(), payload: Some(payload), ..Default::default() })
}

/// Without a key a repeat would be a second invocation.
fn with_key(mut spec: InvocationSpec) -> InvocationSpec {
    if spec.idempotency_key.is_empty() {
        spec.idempotency_key = id::new();
    }
    spec
}
