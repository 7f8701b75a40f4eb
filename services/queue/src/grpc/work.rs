//! `Work`: a worker's stream.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{FutureExt, Stream};
use holdfast_config::Size;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Error, time};
use pb::work_request::Message as Up;
use pb::work_response::{Draining, Message as Down, Revoked, Settled, Welcome};
use prost::Message as _;
use tonic::{Status, Streaming};

use super::convert;
use super::decode::Decoder;
use crate::queue::{Commands, Ending, MESSAGE_BYTES, Outbox, Queue, Run, Work as Item, WorkSession};

/// Answers that one stream may be owed at once: a whole batch of commands.
const OWED_MAX: usize = 1_024;

/// Messages of one stream that go to the store together.
const TOGETHER_MAX: usize = 256;

/// One worker's stream, before its hello.
pub(super) struct Work {
    queue: Queue,
    decoder: Arc<Decoder>,
    tenant: Option<Arc<str>>,
    outbox: Arc<Outbox<Item>>,
}

impl Work {
    pub(super) fn new(queue: Queue, decoder: Arc<Decoder>, tenant: Option<Arc<str>>) -> Self {
        let outbox = Arc::new(Outbox::new(queue.config().unread_bytes_max.bytes()));
        Self { queue, decoder, tenant, outbox }
    }

    /// Reads messages until the worker or the queue ends; what the worker is told is the stream that comes back.
    pub(super) fn serve(self, mut requests: Streaming<pb::WorkRequest>, stop: Stop) -> Answers {
        let answers = Answers { queue: self.queue.clone(), outbox: Arc::clone(&self.outbox) };
        tokio::spawn(async move {
            if let Err(error) = self.run(&mut requests, &stop).await {
                self.outbox.fail(error);
            }
        });
        answers
    }

    async fn run(&self, requests: &mut Streaming<pb::WorkRequest>, stop: &Stop) -> Result<(), Error> {
        let session = tokio::select! {
            session = self.open(requests) => session?,
            () = stop.cancelled() => {
                self.outbox.push(Item::Draining, 0);
                self.outbox.finish();
                return Ok(());
            }
        };
        // Looked at when there is no message: what is there is read first, and does not register anew each time.
        let (mut stopped, mut over) = (pin!(stop.cancelled()), pin!(self.outbox.over()));
        let mut draining = false;
        loop {
            let message = tokio::select! {
                biased;
                message = self.read(requests) => message,
                () = &mut stopped, if !draining => {
                    session.drain();
                    // Until it has read the end it is heard: it may hand back, or have done, what it held.
                    draining = true;
                    continue;
                }
                () = &mut over => return Ok(()),
            };
            if !self.take_all(&session, requests, message).await? {
                return Ok(());
            }
        }
    }

    /// Takes a message and those that have come behind it: what they ask of the store goes there at once. False when none
    /// will come any more.
    async fn take_all(
        &self,
        session: &WorkSession,
        requests: &mut Streaming<pb::WorkRequest>,
        first: Result<Option<pb::WorkRequest>, Status>,
    ) -> Result<bool, Error> {
        let mut commands = Commands::new();
        let mut next = Some(first);
        let mut goes_on = Ok(true);
        while let Some(message) = next.take() {
            goes_on = match message {
                Ok(Some(pb::WorkRequest { message: Some(message) })) => {
                    self.take(session, message, &mut commands).await.map(|()| true)
                }
                Ok(Some(_)) => Err(Error::invalid("message", "is missing")),
                // The worker says no more: it gets what it is owed, and its leases have their grace.
                Ok(None) => {
                    self.outbox.finish();
                    Ok(false)
                }
                Err(_) => {
                    self.outbox.abandon();
                    Ok(false)
                }
            };
            if matches!(goes_on, Ok(true)) && !commands.is_empty() && commands.len() < TOGETHER_MAX {
                next = self.read(requests).now_or_never();
            }
        }
        session.send(commands);
        goes_on
    }

    /// The next message. A worker that does not read what it is told is not read either: HTTP/2 holds it back.
    async fn read(&self, requests: &mut Streaming<pb::WorkRequest>) -> Result<Option<pb::WorkRequest>, Status> {
        self.outbox.eased(OWED_MAX).await;
        requests.message().await
    }

    async fn open(&self, requests: &mut Streaming<pb::WorkRequest>) -> Result<WorkSession, Error> {
        match requests.message().await {
            Ok(Some(pb::WorkRequest { message: Some(Up::Hello(hello)) })) => {
                let hello = self.decoder.hello(self.tenant.clone(), hello)?;
                self.queue.open_stream(hello, Arc::clone(&self.outbox)).await
            }
            Ok(_) => Err(Error::invalid("hello", "must be the first message")),
            Err(status) => Err(status.into()),
        }
    }

    async fn take(&self, session: &WorkSession, message: Up, commands: &mut Commands) -> Result<(), Error> {
        let (token, ending) = match message {
            Up::Hello(_) => return Err(Error::invalid("hello", "comes once, as the first message")),
            Up::Credits(credits) => {
                session.credit(credits.credits);
                return Ok(());
            }
            Up::Heartbeat(heartbeat) => {
                // It may wait for the store, which nothing read before shall wait for.
                session.send(std::mem::take(commands));
                session.heartbeat(self.decoder.heartbeat(heartbeat)?).await;
                return Ok(());
            }
            Up::Progress(progress) => {
                match self.decoder.telling(progress) {
                    (token, Ok(telling)) => session.tell(token, telling, commands),
                    (token, Err(error)) => session.refuse(token, error),
                }
                return Ok(());
            }
            Up::Complete(complete) => self.decoder.completion(complete),
            Up::Fail(fail) => self.decoder.failing(fail),
            Up::Release(release) => (release.token, Ok(Ending::Release)),
        };
        match ending {
            Ok(ending) => session.settle(token, ending, commands),
            Err(error) => session.refuse(token, error),
        }
        Ok(())
    }
}

/// What one worker is told.
pub struct Answers {
    queue: Queue,
    outbox: Arc<Outbox<Item>>,
}

impl Stream for Answers {
    type Item = Result<pb::WorkResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Leases go together, everything else alone.
        let together = |one: &Item, next: &Item| matches!((one, next), (Item::Lease(_), Item::Lease(_)));
        self.outbox.poll(cx, MESSAGE_BYTES, together).map(|next| {
            next.map(|run| match run {
                Ok(Run { items, made_room }) => {
                    if made_room {
                        self.queue.kick();
                    }
                    Ok(pb::WorkResponse { message: Some(down(items, self.queue.config().result_max)) })
                }
                Err(error) => Err(error.into()),
            })
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.outbox.abandon();
    }
}

fn down(items: Vec<Item>, result_max: Size) -> Down {
    let mut leases = Vec::with_capacity(items.len());
    for item in items {
        let message = match item {
            Item::Lease(grant) => {
                leases.push((*grant).into());
                continue;
            }
            Item::Welcome { adopted, heartbeat_interval } => Down::Welcome(Welcome {
                adopted_tokens: adopted,
                heartbeat_interval: Some(time::duration(heartbeat_interval)),
                max_result_bytes: result_max.bytes() as u64,
            }),
            Item::Renewed(renewals) => Down::Heartbeat(convert::renewals(renewals)),
            Item::Settled { token, outcome } => {
                let status = outcome.err().map(|error| Bytes::from(error.to_proto().encode_to_vec()));
                Down::Settled(Settled { token, status: status.unwrap_or_default() })
            }
            Item::Revoked { token, reason } => {
                Down::Revoked(Revoked { token: token.to_string(), reason: reason.to_owned() })
            }
            Item::Draining => Down::Draining(Draining {}),
        };
        return message;
    }
    Down::Leases(pb::LeaseResponse { leases })
}
