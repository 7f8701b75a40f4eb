use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{response::Response, routing::future::RouteFuture};
use futures::{
    TryFutureExt as _,
    future::{Either, MapOk},
};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::{HttpRequest, HttpResponse, server::Inner};

/// What a process serves: a gRPC service, found by the first part of its paths, and routes for all others. A router alone
/// would do; but its bodies are others than the service's, and to wrap and unwrap them costs a twentieth of a small call.
#[derive(Debug, Clone)]
pub struct Routes<S> {
    /// Absent where there is no service.
    name: Option<&'static str>,
    service: S,
    router: axum::Router,
}

impl Default for Routes<Nothing> {
    /// No service of its own.
    fn default() -> Self {
        Self { name: None, service: Nothing, router: tonic::service::Routes::default().into_axum_router() }
    }
}

impl<S: Inner + NamedService> Routes<S> {
    /// The service, and nothing else.
    pub fn new(service: S) -> Self {
        Self { name: Some(S::NAME), service, router: Routes::default().router }
    }
}

impl<S> Routes<S> {
    /// The service with something around it.
    #[must_use]
    pub fn map<T: Inner>(self, around: impl FnOnce(S) -> T) -> Routes<T> {
        Routes { name: self.name, service: around(self.service), router: self.router }
    }

    /// Other routes than those that there are.
    #[must_use]
    pub fn route(self, routes: impl FnOnce(axum::Router) -> axum::Router) -> Self {
        Self { router: routes(self.router), ..self }
    }

    fn is_own(&self, path: &str) -> bool {
        let rest = self.name.and_then(|name| path.strip_prefix('/')?.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Makes a router's answer one of ours.
type Convert = fn(Response) -> HttpResponse;

impl<S: Inner> Service<HttpRequest> for Routes<S> {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Either<S::Future, MapOk<RouteFuture<Infallible>, Convert>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router always is.
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        if self.is_own(request.uri().path()) {
            return Either::Left(self.service.call(request));
        }
        let convert: Convert = |answer| answer.map(Body::new);
        Either::Right(self.router.call(request).map_ok(convert))
    }
}

/// The service of a process that has none.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Service<HttpRequest> for Nothing {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Ready<Result<HttpResponse, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: HttpRequest) -> Self::Future {
        ready(Ok(Status::unimplemented("").into_http()))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    async fn grpc_status<S: Inner>(routes: &Routes<S>, path: &str) -> Option<String> {
        let request = Request::builder().uri(path).body(Body::empty()).expect("valid parts");
        let answer = routes.clone().oneshot(request).await.expect("it answers");
        answer.headers().get(Status::GRPC_STATUS).map(|code| code.to_str().expect("a number").to_owned())
    }

    #[tokio::test]
    async fn a_service_has_the_paths_under_its_name_and_no_others() {
        let other = axum::routing::get(async || "other");
        // It says that it was called.
        let service = service_fn(|_: HttpRequest| ready(Ok(Status::already_exists("own").into_http())));
        let routes = Routes { name: Some("a.Own"), service, router: Routes::default().router };
        let routes = routes.route(|router| router.route("/other", other));
        for (path, code) in [
            ("/a.Own/Call", Some("6")),
            ("/a.Own/", Some("6")),
            ("/a.Own", Some("12")),
            ("/a.Owner/Call", Some("12")),
            ("/elsewhere", Some("12")),
            ("/other", None),
        ] {
            assert_eq!(grpc_status(&routes, path).await.as_deref(), code, "{path}");
        }
    }

    #[tokio::test]
    async fn a_process_without_a_service_serves_what_else_there_is() {
        let other = axum::routing::get(async || "other");
        let routes = Routes::default().route(|router| router.route("/other", other));
        assert_eq!(grpc_status(&routes, "/other").await, None);
        assert_eq!(grpc_status(&routes.clone().route(|_| axum::Router::new()), "//other").await, None);
        assert_eq!(grpc_status(&routes, "/a.Own/Call").await.as_deref(), Some("12"));
    }
}
