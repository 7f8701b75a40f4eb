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
    response.map(|inner| Body::new(Ended { inner, events, last: *b"\n\n", over: false }))
}

/// An answer that never seems whole when it is not: a stream of events says in its last one that it broke off; anything else,
/// and a stream in the midst of an event, breaks off here too.
struct Ended {
    inner: Body,
    events: bool,
    /// The last bytes that passed: an event ends with an empty line.
    last: [u8; 2],
    over: bool,
}

impl Ended {
    fn note(&mut self, data: &[u8]) {
        match data {
            [] => {}
            [one] => self.last = [self.last[1], *one],
            [.., first, second] => self.last = [*first, *second],
        }
    }

    fn break_off(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        self.inner = Body::empty();
        Poll::Ready(Some(if self.events && self.last == *b"\n\n" {
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
                _ => {
                    self.note(frame.data_ref().map_or(&[], |data| data));
                    return Poll::Ready(Some(Ok(frame)));
                }
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

    /// An answer of this type that breaks off after its first pieces, as one does whose service is gone.
    async fn broken(content_type: &str, pieces: &'static [&str]) -> Result<Bytes, Status> {
        let mut trailers = HeaderMap::new();
        let error = Error::unavailable("the connection to the llm-proxy broke", Duration::from_millis(500));
        Status::from(error).add_header(&mut trailers).expect("valid headers");
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes())));
        let frames: Vec<_> = frames.chain([Frame::trailers(trailers)]).map(Ok::<_, Status>).collect();
        let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let response = Response::builder().header(CONTENT_TYPE, content_type).body(body).expect("valid parts");
        Ok(ended(response).into_body().collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_with_an_error_in_an_event() {
        for pieces in [&["data: {}\n\n"][..], &["data: ", "{}\n", "\n"], &[""]] {
            let all = broken("text/event-stream; charset=utf-8", pieces).await.expect("it ends well");
            let came = pieces.concat() + "data: ";
            let last = all.strip_prefix(came.as_bytes()).expect("what came, and one more event");
            let told: Value = serde_json::from_slice(last).expect("JSON");
            assert_eq!(told["error"]["code"], "unavailable", "{told}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_in_the_midst_of_an_event_glues_nothing_to_it() {
        for pieces in [&["data: {}\n\ndata: {"][..], &["data: {}\n\n", "d"], &["data: {}\n"]] {
            let refused = broken("text/event-stream", pieces).await.expect_err("it is not whole");
            assert_eq!(refused.code(), Code::Unavailable);
        }
    }

    #[tokio::test]
    async fn another_body_that_breaks_off_breaks_off_for_its_reader_too() {
        assert_eq!(broken("application/json", &["{}"]).await.expect_err("it is not whole").code(), Code::Unavailable);
    }
}
