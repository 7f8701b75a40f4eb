//! Clients of OpenAI's API, on their way to the llm-proxy.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use holdfast_config::Peer;
use holdfast_rpc::web::openai;
use holdfast_rpc::{Error, HttpResponse};
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::Site;

pub(super) const SITE: Site = Site {
    prefix: "/v1",
    routes: &["/v1/{*path}"],
    peer: Peer::LlmProxy,
    refusal: openai::refuse,
    may_say: &["holdfast-priority", "holdfast-timeout"],
    waits: |_, _| false,
    ended,
};

fn ended(response: HttpResponse) -> HttpResponse {
    let has_events = |value: &http::HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    let events = response.headers().get(CONTENT_TYPE).is_some_and(has_events);
    response.map(|inner| Body::new(Ended { inner, events, over: false }))
}

/// An answer that never seems whole when it is not: a stream of events says in its last one that it broke off, anything else
/// breaks off here too.
struct Ended {
    inner: Body,
    events: bool,
    over: bool,
}

impl Ended {
    fn break_off(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        self.inner = Body::empty();
        Poll::Ready(Some(if self.events {
            let told = openai::body(&Error::from(status));
            Ok(Frame::data(Bytes::from(format!("data: {told}\n\n"))))
        } else {
            Err(status)
        }))
    }
}

impl http_body::Body for Ended {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let status = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref().and_then(Status::from_header_map) {
                Some(status) if status.code() != Code::Ok => status,
                _ => return Poll::Ready(Some(Ok(frame))),
            },
            Poll::Ready(Some(Err(status))) => status,
            other => return other,
        };
        self.break_off(status)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Response};
    use http_body_util::{BodyExt as _, StreamBody};
    use serde_json::Value;

    use super::*;

    /// An answer of this type that breaks off after its first piece, as one does whose service is gone.
    async fn broken(content_type: &str) -> Result<Bytes, Status> {
        let mut trailers = HeaderMap::new();
        let error = Error::unavailable("the connection to the llm-proxy broke", Duration::from_millis(500));
        Status::from(error).add_header(&mut trailers).expect("valid headers");
        let frames = [Frame::data(Bytes::from_static(b"data: {}\n\n")), Frame::trailers(trailers)];
        let body = Body::new(StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Status>))));
        let response = Response::builder().header(CONTENT_TYPE, content_type).body(body).expect("valid parts");
        Ok(ended(response).into_body().collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_with_an_error_in_an_event() {
        let all = broken("text/event-stream; charset=utf-8").await.expect("it ends well");
        let last = all.strip_prefix(b"data: {}\n\ndata: ").expect("what came, and one more event");
        let told: Value = serde_json::from_slice(last).expect("JSON");
        assert_eq!(told["error"]["code"], "unavailable", "{told}");
    }

    #[tokio::test]
    async fn another_body_that_breaks_off_breaks_off_for_its_reader_too() {
        assert_eq!(broken("application/json").await.expect_err("it is not whole").code(), Code::Unavailable);
    }
}
