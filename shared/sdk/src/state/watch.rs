//! Following the changes of a record or a partition.

use std::time::Duration;

use futures::{Stream, stream};
use holdfast_proto::state::v1 as pb;
use holdfast_resilience::Backoff;
use tokio::time::Instant;
use tonic::Streaming;

use crate::{
    Error,
    state::{Address, Edition, State, Version},
};

/// Between one broken stream and the next.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// Streams that may break one after another without a change between them.
const BREAKS_MAX: u32 = 20;

/// A stream that held for so long was a good one, though nothing changed.
const HELD_WELL: Duration = Duration::from_secs(10);

/// What is watched, and from where on: changes from now on, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Watching(pb::WatchRequest);

impl Watching {
    /// All records of a partition.
    pub fn partition(namespace: impl Into<String>, partition: impl Into<String>) -> Self {
        Self(pb::WatchRequest { namespace: namespace.into(), partition: partition.into(), ..Default::default() })
    }

    /// One record.
    pub fn record(address: &Address) -> Self {
        let Address { namespace, partition, key } = address.clone();
        Self(pb::WatchRequest { namespace, partition, key, ..Default::default() })
    }

    /// One record, from what was read of it on.
    pub fn record_after(address: &Address, version: &Version) -> Self {
        let Self(request) = Self::record(address);
        Self(pb::WatchRequest { after_version: version.0.clone(), ..request })
    }

    /// The same from behind the change that carried this token, or from where [`Changes::opened`] said.
    #[must_use]
    pub fn after(self, token: impl Into<String>) -> Self {
        Self(pb::WatchRequest { after_token: token.into(), after_version: Default::default(), ..self.0 })
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// What the write made of the record.
    pub edition: Edition,
    /// Where to go on: [`Watching::after`].
    pub token: String,
}

/// Changes in their order, each once, none missed, over as many connections as it takes.
#[derive(Debug)]
pub struct Changes {
    state: State,
    /// From where the next stream begins.
    from: pb::WatchRequest,
    stream: Option<(Streaming<pb::WatchResponse>, Instant)>,
    /// Came while [`Changes::opened`] looked for the first token.
    early: Option<Change>,
    breaks: u32,
}

impl State {
    /// Watches a record or a partition. Nothing is sent before the first call of [`Changes::next`] or
    /// [`Changes::opened`].
    pub fn watch(&self, watching: Watching) -> Changes {
        Changes { state: self.clone(), from: watching.0, stream: None, early: None, breaks: 0 }
    }
}

impl Changes {
    /// The next change, waiting for it. What broken connections interrupt goes on behind the last change; an error does not
    /// end it either: another call tries again from there. May be dropped while it waits, and called again.
    ///
    /// # Errors
    /// [`Error::Precondition`] (`HISTORY_GONE`) where the history does not go back so far any more: read, and watch from
    /// there; else those of every call.
    pub async fn next(&mut self) -> Result<Change, Error> {
        if let Some(change) = self.early.take() {
            return Ok(change);
        }
        loop {
            if let Some(change) = self.message().await? {
                return Ok(change);
            }
        }
    }

    /// Returns once the watch is open: it shows every change from the place on that the token stands for. What is read after
    /// that is as new, or newer.
    ///
    /// # Errors
    /// As [`Changes::next`].
    pub async fn opened(&mut self) -> Result<&str, Error> {
        while self.stream.is_none() || self.from.after_token.is_empty() {
            self.early = self.message().await?;
        }
        Ok(&self.from.after_token)
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Change, Error>> + Send {
        stream::try_unfold(self, |mut changes| async move { Ok(Some((changes.next().await?, changes))) })
    }

    /// What the next message says, if it is a change.
    async fn message(&mut self) -> Result<Option<Change>, Error> {
        let stream = match &mut self.stream {
            Some((stream, _)) => stream,
            None => {
                let opened = self.open().await?;
                &mut self.stream.insert((opened, Instant::now())).0
            }
        };
        match stream.message().await {
            Ok(Some(pb::WatchResponse { edition, token })) => {
                self.from.after_token.clone_from(&token);
                self.from.after_version.clear();
                Ok(edition.map(|edition| {
                    self.breaks = 0;
                    Change { edition: edition.into(), token }
                }))
            }
            // A stream that ends early is opened again elsewhere.
            Ok(None) => self.broke(None).await,
            Err(status) => self.broke(Some(status.into())).await,
        }
    }

    async fn open(&self) -> Result<Streaming<pb::WatchResponse>, Error> {
        let open = || {
            let (request, mut client) = (self.from.clone(), self.state.client.clone());
            // The time to open it is limited, the stream itself is not.
            async move { holdfast_rpc::deadline::scope(None, client.watch(request)).await }
        };
        self.state.caller.call(self.state.limits(), open).await
    }

    async fn broke(&mut self, error: Option<Error>) -> Result<Option<Change>, Error> {
        if self.stream.take().is_some_and(|(_, since)| since.elapsed() >= HELD_WELL) {
            self.breaks = 0;
        }
        self.breaks += 1;
        let hint = error.as_ref().and_then(Error::retry_after).unwrap_or_default().min(BACKOFF.max);
        match error {
            Some(error) if !error.is_retryable() || self.breaks > BREAKS_MAX => return Err(error),
            None if self.breaks > BREAKS_MAX => {
                let message = "the stream of changes ends again and again".into();
                return Err(Error::Unavailable {
                    retry_after: None,
                    may_have_happened: false,
                    invocation_id: None,
                    message,
                });
            }
            _ => {}
        }
        let pause = hint.max(BACKOFF.delay(self.breaks, &mut rand::rng()));
        tokio::time::sleep(pause).await;
        Ok(None)
    }
}
