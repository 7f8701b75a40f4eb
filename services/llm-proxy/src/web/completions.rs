//! `POST /v1/chat/completions`

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use holdfast_rpc::{Caller, Error, Role, trace, web::openai};

use super::{
    Endpoint,
    deadlines::{self, Deadlines},
    events, refuse,
    request::{self, Requested},
    wire::Author,
};
use crate::llm::{Begun, Reply, Who};

/// Among the calls of one tenant the higher starts first.
const PRIORITY: &str = "holdfast-priority";
const PRIORITY_MAX: i32 = 100;

/// What an answer says of how it came about.
const DEPLOYMENT: HeaderName = HeaderName::from_static("holdfast-deployment");
const WAITED: HeaderName = HeaderName::from_static("holdfast-waited-ms");
const DEGRADED: HeaderName = HeaderName::from_static("holdfast-degraded");
/// Says to proxies of nginx's kind that a stream is one.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers that began before a stop may end within the drain; new calls are told to go elsewhere.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn complete(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.complete(request).await.unwrap_or_else(|error| refuse(&error))
}

impl Endpoint {
    async fn complete(&self, request: Request) -> Result<Response, Error> {
        let caller = self.caller(&request)?;
        if self.stop.is_cancelled() {
            return Err(Error::unavailable("this process is draining", RETRY_AFTER));
        }
        let who = who(&caller)?;
        let deadlines = Deadlines::read(request.headers())?;
        let priority = priority(request.headers())?;
        let (body, held) = self.intake.read(&who.tenant, request.into_body()).await?;
        let Requested { ask, stream } = request::read(&body, priority)?;
        drop(body);
        let author = Author::new(ask.model.clone());
        let Some(asked) = stream else {
            let reply = deadlines::by(deadlines.begins, self.llm.generate(&who, &ask)).await?;
            return Ok(whole(&author, reply));
        };
        let Begun { deployment, waited, degraded, pieces } =
            deadlines::by(deadlines.begins, self.llm.stream(who, ask, deadlines.ends)).await?;
        // The conversation is at the provider, and nobody needs it here any more.
        drop(held);
        let mut answer = Response::new(Body::from_stream(events::of(pieces, author, asked, deadlines)));
        let fixed = [
            (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
            (BUFFERING, "no"),
        ];
        answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        tell(answer.headers_mut(), &deployment, waited, degraded);
        Ok(answer)
    }
}

/// Whoever calls, if they may: as through the gateway, where each method has its least role.
fn who(caller: &Caller) -> Result<Who, Error> {
    if caller.role == Role::Caller {
        return Err(Error::permission_denied("the role caller may list models and not call them"));
    }
    Who::of(caller)
}

fn priority(headers: &HeaderMap) -> Result<i32, Error> {
    let Some(said) = headers.get(PRIORITY) else { return Ok(0) };
    let number = said.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .filter(|number| (-PRIORITY_MAX..=PRIORITY_MAX).contains(number))
        .ok_or_else(|| Error::invalid(PRIORITY, format!("must be from -{PRIORITY_MAX} to {PRIORITY_MAX}")))
}

/// The provider's own words where they are in this protocol.
fn whole(author: &Author, reply: Reply) -> Response {
    let written = || Bytes::from(author.whole(&reply.answer));
    let body = reply.answer.json.clone().unwrap_or_else(written);
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    tell(answer.headers_mut(), &reply.deployment, reply.timing.waited, reply.degraded);
    answer
}

/// How an answer came about; by its trace a call is found again, in logs too.
fn tell(headers: &mut HeaderMap, deployment: &str, waited: Duration, degraded: bool) {
    if let Some(deployment) = HeaderValue::try_from(deployment).ok().filter(|name| !name.is_empty()) {
        headers.insert(DEPLOYMENT, deployment);
    }
    headers.insert(WAITED, (waited.as_millis() as u64).into());
    if degraded {
        headers.insert(DEGRADED, HeaderValue::from_static("true"));
    }
    let id = trace::outgoing().and_then(|traceparent| HeaderValue::try_from(trace::id(&traceparent)).ok());
    headers.extend(id.map(|id| (openai::REQUEST_ID, id)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_a_number_within_bounds() {
        let read = |text: &str| priority(&HeaderMap::from_iter([(PRIORITY.parse().unwrap(), text.parse().unwrap())]));
        assert_eq!((read("-100").unwrap(), read(" 7 ").unwrap(), priority(&HeaderMap::new()).unwrap()), (-100, 7, 0));
        for text in ["101", "high", "", "1.5"] {
            assert_eq!(read(text).expect_err(text).field(), Some(PRIORITY));
        }
    }

    #[test]
    fn who_may_only_submit_work_calls_no_model() {
        let of = |role: Role| who(&Caller::of_tenant("acme", role, "key"));
        assert_eq!(of(Role::Caller).expect_err("it may not").code(), tonic::Code::PermissionDenied);
        for role in [Role::Worker, Role::Operator, Role::Mesh] {
            assert_eq!(of(role).expect("it may").tenant, "acme");
        }
    }
}
