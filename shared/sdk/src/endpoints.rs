//! Where the mesh is: one address for everything, or each service by itself.

use std::{
    fmt,
    task::{Context, Poll},
};

use holdfast_config::{Common, Peer};
use holdfast_rpc::{Channel, HttpRequest, HttpResponse, lease};
use http::HeaderValue;
use tonic::Status;
use tower::Service;

use crate::Error;

/// Where the mesh is. Outside it is a gateway, which passes every method through by role; inside, each service has an
/// address of its own.
#[derive(Debug, Clone)]
pub struct Endpoints(Kind);

#[derive(Clone)]
enum Kind {
    Gateway { urls: String, key: Option<String>, authority: Option<String> },
    Mesh(Box<Links>),
}

impl Endpoints {
    /// A gateway's URL, or several (separated by commas): one of them is used, and the next when it is gone.
    pub fn gateway(urls: impl Into<String>) -> Self {
        Self(Kind::Gateway { urls: urls.into(), key: None, authority: None })
    }

    /// The services of a mesh that this process belongs to, by `[mesh]` of its configuration.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one of the URLs is not one.
    pub fn mesh(common: &Common) -> Result<Self, Error> {
        let to = |peer| Channel::to(common, peer).map(Link::new).map_err(invalid);
        Ok(Self(Kind::Mesh(Box::new(Links {
            invocations: to(Peer::Gateway)?,
            queue: to(Peer::Queue)?,
            state: to(Peer::State)?,
            tools: to(Peer::ToolProxy)?,
            models: to(Peer::LlmProxy)?,
        }))))
    }

    /// The same with a key to show to the gateway; inside the mesh, its credential counts and keys do not.
    #[must_use]
    pub fn api_key(mut self, shown: &str) -> Self {
        if let Kind::Gateway { key, .. } = &mut self.0 {
            *key = Some(shown.to_owned()).filter(|key| !key.is_empty());
        }
        self
    }

    /// The same with the PEM of an authority to trust, for gateways with certificates of one's own.
    #[must_use]
    pub fn authority(mut self, pem: &str) -> Self {
        if let Kind::Gateway { authority, .. } = &mut self.0 {
            *authority = Some(pem.to_owned());
        }
        self
    }

    /// Makes the connections, each opened when it is first used.
    pub(crate) fn links(&self) -> Result<Links, Error> {
        match &self.0 {
            Kind::Mesh(links) => Ok(Links::clone(links)),
            Kind::Gateway { urls, key, authority } => {
                let urls: Vec<_> = urls.split(',').map(str::trim).collect();
                let channel = Channel::connect_any("gateway", &urls, key.as_deref(), authority.as_deref());
                let link = Link::new(channel.map_err(invalid)?);
                Ok(Links {
                    invocations: link.clone(),
                    queue: link.clone(),
                    state: link.clone(),
                    tools: link.clone(),
                    models: link,
                })
            }
        }
    }
}

impl From<&str> for Endpoints {
    fn from(urls: &str) -> Self {
        Self::gateway(urls)
    }
}

impl From<String> for Endpoints {
    fn from(urls: String) -> Self {
        Self::gateway(urls)
    }
}

/// Keys are never printed.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway { urls, .. } => f.debug_tuple("Gateway").field(urls).finish(),
            Self::Mesh(_) => f.write_str("Mesh"),
        }
    }
}

fn invalid(error: holdfast_rpc::Error) -> Error {
    Error::Invalid(error.to_string())
}

/// A connection for each contract.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) invocations: Link,
    pub(crate) queue: Link,
    pub(crate) state: Link,
    pub(crate) tools: Link,
    pub(crate) models: Link,
}

impl Links {
    /// The same connections, with a lease shown on every call.
    pub(crate) fn under(&self, token: &str) -> Result<Self, Error> {
        let lease = HeaderValue::try_from(token).map_err(|_| Error::Invalid("the lease token is malformed".into()))?;
        let under = |link: &Link| Link { lease: Some(lease.clone()), ..link.clone() };
        Ok(Self {
            invocations: under(&self.invocations),
            queue: under(&self.queue),
            state: under(&self.state),
            tools: under(&self.tools),
            models: under(&self.models),
        })
    }
}

/// A connection to one service, at one or several addresses.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    channel: Channel,
    lease: Option<HeaderValue>,
}

impl Link {
    fn new(channel: Channel) -> Self {
        Self { channel, lease: None }
    }

    /// What is there does not answer: another address comes first for a while, where there is one.
    pub(crate) fn leave_address(&self) {
        self.channel.leave_address();
    }
}

impl Service<HttpRequest> for Link {
    type Response = HttpResponse;
    type Error = Status;
    type Future = <Channel as Service<HttpRequest>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        if let Some(lease) = &self.lease {
            request.headers_mut().insert(lease::HEADER, lease.clone());
        }
        self.channel.call(request)
    }
}
