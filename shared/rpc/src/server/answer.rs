use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tonic::{Code, body::Body};

use crate::{HttpResponse, watched::Watched};

/// An answer on its way out through the layers, and what lasts until its body has ended: the outermost wraps the body, once
/// for all of them.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) response: HttpResponse,
    /// The call's place among those in flight.
    slot: Option<OwnedSemaphorePermit>,
    deadline: Option<Instant>,
}

impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        Self { response, slot: None, deadline: None }
    }
}

impl Answer {
    /// Keeps the slot until it has ended.
    pub(super) fn in_slot(self, slot: OwnedSemaphorePermit) -> Self {
        Self { slot: Some(slot), ..self }
    }

    /// Ends then at the latest.
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The response, which tells how its body ended.
    pub(super) fn watched(self, on_end: impl FnOnce(Code) + Send + 'static) -> HttpResponse {
        let Self { response, slot, deadline } = self;
        let on_end = move |code| {
            drop(slot);
            on_end(code);
        };
        response.map(|body| Body::new(Watched::new(body, deadline, Some(Box::new(on_end)))))
    }
}
