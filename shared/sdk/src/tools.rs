//! Tools for those who run the mesh: what there is, a call by hand, and how circuits stand. An agent's calls are
//! [`crate::Context::call_tool`]'s.

use std::time::Duration;

use holdfast_proto::tool::v1::{
    CallToolRequest, CallToolResponse, Circuit, ListCircuitsRequest, ListToolsRequest, ListToolsResponse,
    SetCircuitRequest, WatchCircuitsRequest, WatchCircuitsResponse, tool_service_client::ToolServiceClient,
};
use holdfast_rpc::deadline;
use tonic::Streaming;

use crate::{
    Error,
    calls::{Caller, Limits},
    endpoints::Link,
};

/// A call ends after this long, whatever the tool's own timeout and the deadline say.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(3_600);

/// Largest answer taken from the tool-proxy, which has a limit for each tool.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client of the tool-proxy.
pub(crate) fn client(link: Link) -> ToolServiceClient<Link> {
    ToolServiceClient::new(link).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// The mesh's tools and circuits. Cheap to clone. What is full or away is waited for like by every call of a
/// [`crate::Client`].
#[derive(Debug, Clone)]
pub struct Tools {
    client: ToolServiceClient<Link>,
    caller: Caller,
    timeout: Duration,
}

impl Tools {
    pub(crate) fn new(link: Link, caller: Caller, timeout: Duration) -> Self {
        Self { client: client(link), caller, timeout }
    }

    /// A page of the tools that the key may use.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list(&self, request: ListToolsRequest) -> Result<ListToolsResponse, Error> {
        let attempt = || {
            let (request, mut client) = (request.clone(), self.client.clone());
            async move { client.list_tools(request).await }
        };
        self.caller.call(self.limits(), attempt).await
    }

    /// Calls a tool, which may take as long as the tool and the deadline in force allow. With an idempotency key a lost
    /// answer is asked for again; without one, only what surely reached no tool is sent again.
    ///
    /// # Errors
    /// [`Error::NotFound`] (no such tool), [`Error::Invalid`] (arguments against the schema), [`Error::AlreadyExists`] (the
    /// key was used for another call), and those of every call.
    pub async fn call(&self, request: CallToolRequest) -> Result<CallToolResponse, Error> {
        let limits = Limits { attempt: CALL_MAX, whole: CALL_MAX, patience: self.timeout };
        let attempt = || {
            let (request, mut client) = (request.clone(), self.client.clone());
            async move { client.call_tool(request).await }
        };
        match request.idempotency_key.is_empty() {
            true => self.caller.call_at_most_once(limits, attempt).await,
            false => self.caller.call(limits, attempt).await,
        }
    }

    /// The circuits as they stand.
    ///
    /// # Errors
    /// [`Error::Denied`] for all but operators, and those of every call.
    pub async fn circuits(&self) -> Result<Vec<Circuit>, Error> {
        let attempt = || {
            let mut client = self.client.clone();
            async move { client.list_circuits(ListCircuitsRequest {}).await }
        };
        Ok(self.caller.call(self.limits(), attempt).await?.circuits)
    }

    /// The circuits as they stand, then each change.
    ///
    /// # Errors
    /// As [`Tools::circuits`].
    pub async fn watch_circuits(&self) -> Result<Streaming<WatchCircuitsResponse>, Error> {
        let attempt = || {
            let mut client = self.client.clone();
            // The time to open it is limited, the stream itself is not.
            async move { deadline::scope(None, client.watch_circuits(WatchCircuitsRequest {})).await }
        };
        self.caller.call(self.limits(), attempt).await
    }

    /// Opens or closes a circuit by hand, or leaves it to itself again; gives it as it stands then. Said once: a word that is
    /// said again could take back what somebody else said in between.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], and those of every call.
    pub async fn set_circuit(&self, request: SetCircuitRequest) -> Result<Circuit, Error> {
        let attempt = || {
            let (request, mut client) = (request.clone(), self.client.clone());
            async move { client.set_circuit(request).await }
        };
        Ok(self.caller.call_at_most_once(self.limits(), attempt).await?.circuit.unwrap_or_default())
    }

    fn limits(&self) -> Limits {
        Limits { attempt: self.timeout, whole: self.timeout, patience: self.timeout }
    }
}
