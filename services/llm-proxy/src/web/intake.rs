//! Requests on their way in: of bounded size, within a bounded time, and together within a bounded memory, by whichever door
//! they come. They weigh what has come of them, whatever they say that is still to come.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use holdfast_rpc::{Caller, Error, HttpRequest, web};
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;
use tower::BoxError;

/// How long a body may be on its way.
const WITHIN: Duration = Duration::from_secs(30);
/// When to come back where too much is at hand.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What the other requests of a tenant may have, in times of what is left: as in the lines before the providers.
const SHARE_MAX: usize = 8;

/// The way in for bodies.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    request_bytes_max: usize,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    bytes_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By tenant; none has nothing.
    of: HashMap<Arc<str>, usize>,
}

/// The memory of one request, until the call needs it no more: it is given back when nobody holds this.
#[derive(Debug, Clone)]
pub(crate) struct Held(#[expect(dead_code, reason = "it is given back when it is dropped")] Arc<Share>);

#[derive(Debug)]
struct Share {
    room: Arc<Room>,
    tenant: Arc<str>,
    bytes: AtomicUsize,
    refused: AtomicBool,
}

impl Intake {
    /// For bodies up to one size, and all of them up to another.
    pub(crate) fn new(request_bytes_max: usize, all_bytes_max: usize) -> Self {
        let room = Room { bytes_max: all_bytes_max.max(request_bytes_max), taken: Mutex::default() };
        Self { request_bytes_max, room: Arc::new(room) }
    }

    /// The whole body.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where too much is at hand, else as [`web::read`].
    pub(super) async fn read(&self, tenant: &str, body: Body) -> Result<(Bytes, Held), Error> {
        let share = self.share(tenant);
        let weighed = Weighed { inner: body, share: Arc::clone(&share) };
        match web::read(weighed, self.request_bytes_max, WITHIN).await {
            Ok(body) => Ok((body, Held(share))),
            Err(_) if share.refused.load(Ordering::Relaxed) => Err(full()),
            Err(error) => Err(error),
        }
    }

    /// Has a request that is read elsewhere weighed as it comes; it carries its [`Held`].
    pub(crate) fn weigh(&self, mut request: HttpRequest) -> HttpRequest {
        let caller = request.extensions().get::<Caller>();
        let share = self.share(caller.and_then(|caller| caller.tenant().ok()).unwrap_or_default());
        request.extensions_mut().insert(Held(Arc::clone(&share)));
        request.map(|inner| tonic::body::Body::new(Weighed { inner, share }))
    }

    fn share(&self, tenant: &str) -> Arc<Share> {
        let (room, tenant) = (Arc::clone(&self.room), tenant.into());
        Arc::new(Share { room, tenant, bytes: AtomicUsize::new(0), refused: AtomicBool::new(false) })
    }
}

impl Share {
    fn take(&self, more: usize) -> Result<(), Error> {
        let mut taken = self.room.taken.lock();
        let own = self.bytes.load(Ordering::Relaxed);
        let others = taken.of.get(&self.tenant).map_or(0, |tenant| tenant - own);
        let left = self.room.bytes_max.checked_sub(taken.all + more);
        if left.is_none_or(|left| others > left.saturating_mul(SHARE_MAX)) {
            self.refused.store(true, Ordering::Relaxed);
            return Err(full());
        }
        self.bytes.store(own + more, Ordering::Relaxed);
        taken.all += more;
        *taken.of.entry(Arc::clone(&self.tenant)).or_default() += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock();
        let own = *self.bytes.get_mut();
        taken.all -= own;
        if let Some(tenant) = taken.of.get_mut(&self.tenant) {
            *tenant -= own;
            if *tenant == 0 {
                taken.of.remove(&self.tenant);
            }
        }
    }
}

fn full() -> Error {
    Error::exhausted("the requests at hand are as large as they may be together", RETRY_AFTER)
}

/// A body that takes up room as it comes.
struct Weighed<B> {
    inner: B,
    share: Arc<Share>,
}

impl<B> HttpBody for Weighed<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &next
            && let Err(error) = self.share.take(frame.data_ref().map_or(0, Bytes::len))
        {
            // In this shape it comes through a gRPC server as what it is.
            return Poll::Ready(Some(Err(Status::from(error).into())));
        }
        next.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use tonic::Code;

    use super::*;

    /// What has come of a body, and what is still to come never does.
    fn stalled(text: &'static str) -> Body {
        let came = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes()))]);
        Body::from_stream(came.chain(stream::pending()))
    }

    async fn refused(intake: &Intake, tenant: &str, text: &'static str) -> bool {
        match intake.read(tenant, Body::from(text)).await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!((error.code(), error.retry_after()), (Code::ResourceExhausted, Some(RETRY_AFTER)));
                true
            }
        }
    }

    #[tokio::test]
    async fn all_requests_together_have_a_bound_and_each_counts_until_it_is_let_go() {
        let intake = Intake::new(8, 10);
        let (_, first) = intake.read("a", Body::from("12")).await.expect("there is room");
        let (body, _second) = intake.read("b", Body::from("1234567")).await.expect("there is room");
        assert_eq!(body, "1234567");
        assert!(refused(&intake, "c", "12").await, "one byte is left");
        drop(first);
        assert!(!refused(&intake, "c", "12").await, "room was given back");
        assert!(!refused(&intake, "c", "12").await, "and what was read and dropped is given back too");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_only_announced_takes_up_nothing() {
        let intake = Intake::new(100, 100);
        let mut stalled = ["a", "a", "b"].map(|name| Box::pin(intake.read(name, stalled("1"))));
        for body in &mut stalled {
            assert!(futures::poll!(body).is_pending());
        }
        let (_, held) = intake.read("c", Body::from("x".repeat(90))).await.expect("three bytes are taken");
        drop(stalled);
        drop(held);
        let slow = intake.read("a", self::stalled("1")).await.expect_err("it never comes");
        assert_eq!(slow.reason(), "BODY_TOO_SLOW");
        assert_eq!(intake.room.taken.lock().all, 0);
        assert!(intake.room.taken.lock().of.is_empty());
    }

    #[tokio::test]
    async fn whoever_floods_the_intake_leaves_room_for_others() {
        let intake = Intake::new(10, 1_000);
        let mut flood = Vec::new();
        while let Ok((_, held)) = intake.read("flood", Body::from("0123456789")).await {
            flood.push(held);
        }
        assert!((80..=89).contains(&flood.len()), "nearly eight ninths are its own: {}", flood.len());
        for _ in 0..5 {
            flood.push(intake.read("calm", Body::from("0123456789")).await.expect("there is room for others").1);
        }
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_told_so_and_not_to_come_back() {
        let refused = Intake::new(4, 100).read("a", Body::from("12345")).await.expect_err("it is too large");
        assert_eq!((refused.code(), refused.retry_after()), (Code::OutOfRange, None));
    }
}
