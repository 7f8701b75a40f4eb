//! The server's stack: gRPC and HTTP on one port.

mod accept;
mod answer;
mod count;
mod deadline;
mod identity;
mod observe;
mod reader;
mod shed;

use std::{convert::Infallible, pin::Pin, sync::Arc};

use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::Status;
use tower::Service;

pub use accept::Limits;
pub(crate) use accept::serve;
pub(crate) use answer::Answer;
pub(crate) use count::describe;
pub(crate) use reader::Reader;

use crate::{
    Error, HttpRequest, HttpResponse,
    caller::Authenticate,
    web::{Paths, Refusal},
};

/// What a layer wraps: it refuses what it has no room for, and is always ready. The innermost answers with responses.
pub trait Inner<A = HttpResponse>:
    Service<HttpRequest, Response = A, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

impl<A, S> Inner<A> for S where
    S: Service<HttpRequest, Response = A, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

/// What becomes a response.
pub(crate) type Responding = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

/// A service with the whole stack around it.
pub(crate) type Stacked = Arc<dyn Fn(HttpRequest) -> Responding + Send + Sync>;

/// Puts the stack around the routes. A request passes it from the top down.
pub(crate) fn stack<S: Inner>(routes: S, web: Paths, auth: Arc<dyn Authenticate>, in_flight_max: usize) -> Stacked {
    let stacked = tower::ServiceBuilder::new()
        .layer(observe::ObserveLayer::new(web.clone())) // even a refused request leaves a span and is counted
        .layer(identity::IdentityLayer::new(auth, web.clone())) // strangers take no slot, and are told nothing else
        .layer(deadline::DeadlineLayer::new(web.clone())) // waiting in line spends the caller's time
        .layer(shed::ShedLayer::new(in_flight_max, web)) // no slot: say so now
        .service(routes);
    // Every layer is always ready: what has no room refuses.
    Arc::new(move |request| stacked.clone().call(request))
}

/// Health, reflection and metrics answer always: neither identity nor load stands before them.
fn is_open(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/")
        || path.starts_with("/grpc.reflection.")
        || matches!(path, "/metrics" | "/healthz")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// In what words a layer refuses a call.
#[derive(Debug, Clone, Copy)]
enum Words {
    /// A status, to callers by gRPC.
    Grpc,
    /// To others whatever the clients of the path expect.
    Web(Refusal),
}

impl Words {
    fn of(request: &HttpRequest, web: &Paths) -> Self {
        if is_grpc(request.headers()) { Self::Grpc } else { Self::Web(web.refusal(request.uri().path())) }
    }

    fn refuse(self, error: Error) -> HttpResponse {
        match self {
            Self::Grpc => Status::from(error).into_http(),
            Self::Web(refusal) => refusal(&error),
        }
    }
}
