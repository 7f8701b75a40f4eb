//! Bodies of callers' requests and answers, weighed as they pass.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::Error;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::admission::Place;
use crate::allowance::{Share, Used};
use crate::metrics;

/// When there may be room again: bodies come and go within that.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Smaller answers are not weighed: the number of calls bounds them.
const WEIGHED_FROM: usize = 32 << 10;

type Item = Result<Frame<Bytes>, Status>;

fn full(what: &str, used: Used, part: &str, all: &str) -> Error {
    let told = match used {
        Used::Part => {
            metrics::refused("tenant_bytes");
            format!("its tenant has as many bytes of {what} in hand as one may ({part})")
        }
        Used::All => {
            metrics::refused("bytes");
            format!("too many bytes of {what} are in hand ({all})")
        }
    };
    Error::exhausted(told, RETRY_AFTER.mul_f64(1.0 + rand::random::<f64>()))
}

/// A request that is being read: its bytes count until the whole of it is there.
pub(super) struct Incoming {
    inner: Body,
    reading: Share,
    held: usize,
}

impl Incoming {
    pub(super) fn new(inner: Body, reading: Share) -> Self {
        Self { inner, reading, held: 0 }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let next = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &next {
            let more = frame.data_ref().map_or(0, Bytes::len);
            if let Err(used) = self.reading.take(more) {
                let refused = full("requests", used, "gateway.tenant_bytes_max", "gateway.bytes_max");
                return Poll::Ready(Some(Err(refused.into())));
            }
            self.held += more;
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.reading.give_back(self.held);
    }
}

/// An answer: what is large in it counts until its caller has taken it, and so does the call.
pub(super) struct Outgoing {
    inner: Body,
    unread: Share,
    over: bool,
    _place: Place,
}

impl Outgoing {
    pub(super) fn new(inner: Body, unread: Share, place: Place) -> Self {
        Self { inner, unread, over: false, _place: place }
    }

    fn weigh(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        match frame.into_data() {
            Ok(data) if data.len() >= WEIGHED_FROM => {
                // It happened, whatever becomes of the answer.
                let (part, all) = ("gateway.tenant_unread_bytes_max", "gateway.unread_bytes_max");
                self.unread
                    .weigh(data)
                    .map(Frame::data)
                    .map_err(|used| full("answers", used, part, all).maybe_happened())
            }
            Ok(data) => Ok(Frame::data(data)),
            Err(frame) => Ok(frame),
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other,
        };
        Poll::Ready(Some(match self.weigh(frame) {
            Ok(frame) => Ok(frame),
            Err(refused) => {
                self.over = true;
                let mut trailers = HeaderMap::new();
                Status::from(refused).add_header(&mut trailers).map(|()| Frame::trailers(trailers))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::status;
    use http_body_util::{BodyExt as _, Full};
    use tonic::Code;

    use super::*;
    use crate::admission::{Admission, Kind, Terms};
    use crate::allowance::Account;

    const ANSWER: usize = 40 << 10;

    /// The first frame of an answer to a tenant's call.
    async fn first(unread: &Share) -> Frame<Bytes> {
        let place = Admission::under(Terms::WIDE).admit("a", Kind::Call).expect("there is room");
        let body = Body::new(Full::new(Bytes::from(vec![1; ANSWER])).map_err(|never| match never {}));
        Outgoing::new(body, unread.clone(), place).frame().await.expect("a frame").expect("no error")
    }

    #[tokio::test]
    async fn one_tenants_answers_leave_room_for_anothers() {
        let all = Account::new(2 * ANSWER);
        let [one, other] = [3 * ANSWER / 2; 2].map(|max| Share { all: all.clone(), own: Account::new(max) });
        let held = first(&one).await;
        assert_eq!(held.data_ref().map(Bytes::len), Some(ANSWER));
        let refused = first(&one).await;
        let told = Status::from_header_map(refused.trailers_ref().expect("its end")).expect("a status");
        assert_eq!(told.code(), Code::ResourceExhausted);
        assert!(told.message().contains("tenant_unread_bytes_max") && status::may_have_happened(&told), "{told}");
        assert!(first(&other).await.is_data(), "another tenant has its own");
        drop(held);
        assert!(first(&one).await.is_data(), "there is room again");
    }
}
