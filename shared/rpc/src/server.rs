//! The server's stack: gRPC and HTTP on one port.

mod accept;
mod count;
mod deadline;
mod identity;
mod observe;
mod shed;

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::Status;
use tower::{Service, util::BoxCloneSyncService};

pub use accept::Limits;
pub(crate) use accept::serve;
pub(crate) use count::describe;

use crate::{
    Error, HttpRequest, HttpResponse,
    caller::Authenticate,
    web::{self, Paths},
};

/// What the layers wrap.
pub(crate) trait Inner:
    Service<HttpRequest, Response = HttpResponse, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Inner for S where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A service with the whole stack around it.
pub(crate) type Stacked = BoxCloneSyncService<HttpRequest, HttpResponse, Infallible>;

/// Puts the stack around the routes. A request passes it from the top down.
pub(crate) fn stack<S: Inner>(routes: S, web: Paths, auth: Arc<dyn Authenticate>, in_flight_max: usize) -> Stacked {
    let stack = tower::ServiceBuilder::new()
        .layer(observe::ObserveLayer::new(web)) // even a refused request leaves a span and is counted
        .layer(deadline::DeadlineLayer) // waiting in line spends the caller's time
        .layer(identity::IdentityLayer::new(auth)) // strangers take no slot
        .layer(shed::ShedLayer::new(in_flight_max)); // no slot: say so now
    BoxCloneSyncService::new(stack.service(routes))
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

/// An error as the answer of a layer: a status to gRPC callers, a plain HTTP one to others.
fn refuse(error: Error, grpc: bool) -> HttpResponse {
    if grpc { Status::from(error).into_http() } else { web::refuse(&error) }
}
