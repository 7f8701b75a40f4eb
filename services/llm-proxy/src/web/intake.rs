//! Bodies of requests: of bounded size, within a bounded time, and together within a bounded memory.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use holdfast_rpc::{Error, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a body may be on its way.
const WITHIN: Duration = Duration::from_secs(30);
/// When to come back where too much is being read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The way in for bodies.
#[derive(Debug)]
pub(crate) struct Intake {
    request_bytes_max: usize,
    /// A permit is a byte.
    room: Arc<Semaphore>,
}

/// The memory of one request, until the call needs it no more.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit);

impl Intake {
    /// For bodies up to one size, and all of them up to another.
    pub(crate) fn new(request_bytes_max: usize, all_bytes_max: usize) -> Self {
        let room = all_bytes_max.max(request_bytes_max).min(u32::MAX as usize);
        Self { request_bytes_max: request_bytes_max.min(room), room: Arc::new(Semaphore::new(room)) }
    }

    /// The whole body. One that does not say how long it is takes up as much as it might be.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where too much is being read, else as [`web::read`].
    pub(super) async fn read(&self, body: Body) -> Result<(Bytes, Held), Error> {
        let most = body.size_hint().upper().map_or(self.request_bytes_max, |bytes| bytes as usize);
        let most = most.min(self.request_bytes_max);
        let full = |_| Error::exhausted("the requests at hand are as large as they may be together", RETRY_AFTER);
        let mut held = self.room.clone().try_acquire_many_owned(most as u32).map_err(full)?;
        let body = web::read(body, self.request_bytes_max, WITHIN).await?;
        drop(held.split(most.saturating_sub(body.len())));
        Ok((body, Held(held)))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn all_requests_together_have_a_bound_and_each_counts_by_its_real_size() {
        let intake = Intake::new(8, 10);
        let of_unsaid_length = |text: &'static str| {
            Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes()))]))
        };
        let (_, first) = intake.read(of_unsaid_length("12")).await.expect("there is room");
        let (body, _second) = intake.read(of_unsaid_length("1234567")).await.expect("the first is two bytes only");
        assert_eq!(body, "1234567");
        let refused = intake.read(Body::from("12")).await.expect_err("one byte is left");
        assert_eq!((refused.code(), refused.retry_after()), (Code::ResourceExhausted, Some(RETRY_AFTER)));
        drop(first);
        intake.read(Body::from("12")).await.expect("room was given back");
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_told_so_and_not_to_come_back() {
        let refused = Intake::new(4, 100).read(Body::from("12345")).await.expect_err("it is too large");
        assert_eq!((refused.code(), refused.retry_after()), (Code::OutOfRange, None));
    }
}
