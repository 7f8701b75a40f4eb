//! Following an invocation.

use holdfast_proto::{
    gateway::v1::{WatchInvocationRequest, WatchInvocationResponse},
    queue::v1::{InvocationEvent, InvocationState, invocation_event::Event},
};
use holdfast_resilience::Backoff;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Streaming;

use crate::{
    Client, Error,
    calls::{HINT_MAX, spread},
};

/// Between one broken stream and the next.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// A stream that held for so long was a good one, though nothing happened.
const HELD_WELL: Duration = Duration::from_secs(10);

/// The events of one invocation, in order and without gaps or repeats, over as many connections as it takes. What the queue
/// does not keep any more is one event that says so.
#[derive(Debug)]
pub struct Events {
    client: Client,
    invocation_id: String,
    next: u64,
    stream: Option<(Streaming<WatchInvocationResponse>, Instant)>,
    breaks: u32,
    /// Since when there is no good stream, where there was one before.
    away: Option<Instant>,
    seen: bool,
    opened: bool,
    /// The last state that was seen is an end. It is the last word only if the stream ends too: what was redriven goes on.
    settled: bool,
    ended: bool,
}

impl Events {
    pub(crate) fn new(client: Client, invocation_id: String, from_offset: u64) -> Self {
        Self {
            client,
            invocation_id,
            next: from_offset,
            stream: None,
            breaks: 0,
            away: None,
            seen: false,
            opened: false,
            settled: false,
            ended: false,
        }
    }

    /// The next event, waiting for it; `None` after the last one, which is a terminal one. Where an invocation was redriven,
    /// terminal events stand in between too.
    ///
    /// # Errors
    /// [`Error::NotFound`], and what a connection made anew cannot mend within the client's timeout.
    pub async fn next(&mut self) -> Result<Option<InvocationEvent>, Error> {
        while !self.ended {
            let stream = match &mut self.stream {
                Some((stream, _)) => stream,
                None => match self.open().await {
                    Ok(stream) => {
                        self.opened = true;
                        &mut self.stream.insert((stream, Instant::now())).0
                    }
                    Err(error) if self.opened => {
                        self.broke(Some(error)).await?;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            match stream.message().await {
                Ok(Some(WatchInvocationResponse { event: Some(event) })) => {
                    if event.offset < self.next {
                        continue;
                    }
                    self.next = event.offset + 1;
                    (self.breaks, self.away) = (0, None);
                    self.seen = true;
                    self.settled = is_terminal(&event).unwrap_or(self.settled);
                    return Ok(Some(event));
                }
                Ok(Some(_)) => {}
                Ok(None) if self.settled || self.is_past_the_end().await? => self.ended = true,
                // A stream that ends early is opened again elsewhere.
                Ok(None) => self.broke(None).await?,
                Err(status) => self.broke(Some(status.into())).await?,
            }
        }
        Ok(None)
    }

    /// Whether there was nothing to see, because the first offset that was wanted is after the last one.
    async fn is_past_the_end(&self) -> Result<bool, Error> {
        Ok(!self.seen && is_end(self.client.get(&self.invocation_id).await?.state()))
    }

    async fn open(&self) -> Result<Streaming<WatchInvocationResponse>, Error> {
        let request = WatchInvocationRequest { invocation_id: self.invocation_id.clone(), from_offset: self.next };
        let open = || {
            let (request, mut gateway) = (request.clone(), self.client.gateway());
            // The time to open it is limited, the stream itself is not.
            async move { holdfast_rpc::deadline::scope(None, gateway.watch_invocation(request)).await }
        };
        if self.opened {
            // It goes on with what it was served before, at a pace of its own: however many do so at once, none of them
            // is a new load, and no budget must end them.
            return self.client.caller.once(self.client.limits(), open()).await;
        }
        self.client.caller.call(self.client.limits(), open).await
    }

    async fn broke(&mut self, error: Option<Error>) -> Result<(), Error> {
        let held = self.stream.take().is_some_and(|(_, since)| since.elapsed() >= HELD_WELL);
        if held {
            (self.breaks, self.away) = (0, None);
        }
        self.breaks += 1;
        let hint = spread(error.as_ref().and_then(Error::retry_after).unwrap_or_default().min(HINT_MAX));
        let away = self.away.get_or_insert_with(Instant::now).elapsed();
        if error.as_ref().is_some_and(|error| !error.is_retryable()) || away >= self.client.limits().patience {
            return Err(error.unwrap_or_else(|| self.ends_again_and_again()));
        }
        let pause = hint.max(BACKOFF.delay(self.breaks, &mut rand::rng()));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn ends_again_and_again(&self) -> Error {
        let message = "the stream of events ends again and again".into();
        let invocation_id = Some(self.invocation_id.clone());
        Error::Unavailable { retry_after: None, may_have_happened: false, invocation_id, message }
    }
}

/// Whether the state that it changed to is an end; `None` where it changed none.
fn is_terminal(event: &InvocationEvent) -> Option<bool> {
    match &event.event {
        Some(Event::StateChanged(changed)) => Some(is_end(changed.state())),
        _ => None,
    }
}

fn is_end(state: InvocationState) -> bool {
    matches!(
        state,
        InvocationState::Succeeded | InvocationState::Failed | InvocationState::Cancelled | InvocationState::Dead
    )
}
