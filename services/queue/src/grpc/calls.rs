//! `EnqueueStream`: many calls up, many answers down.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Caller, Error};
use pb::enqueue_stream_request::call::Call as Ask;
use pb::enqueue_stream_response::Answer;
use pb::enqueue_stream_response::answer::Answer as What;
use prost::Message as _;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::convert;
use super::decode::{self, Decoder};
use crate::queue::{CallAnswer, CallStream, CallWhat, Queue, Run, Submission};

/// Answers that go into one message.
const MESSAGE_BYTES: usize = 1 << 20;

/// One stream of many calls.
pub(super) struct Calls {
    queue: Queue,
    decoder: Arc<Decoder>,
    caller: Caller,
    stream: Arc<CallStream>,
}

impl Calls {
    pub(super) fn new(queue: Queue, decoder: Arc<Decoder>, caller: Caller) -> Self {
        let config = queue.config();
        let stream = CallStream::new(config.unread_bytes_max.bytes(), config.calls_per_stream_max);
        Self { queue, decoder, caller, stream: Arc::new(stream) }
    }

    /// Reads calls until the client or the queue ends; the answers are the stream that comes back.
    pub(super) fn serve(self, mut requests: Streaming<pb::EnqueueStreamRequest>, stop: Stop) -> Answers {
        let answers = Answers { queue: self.queue.clone(), stream: Arc::clone(&self.stream) };
        tokio::spawn(async move {
            let mut stopped = pin!(stop.cancelled());
            loop {
                let message = tokio::select! {
                    biased;
                    message = self.next(&mut requests) => message,
                    () = &mut stopped => break,
                };
                match message {
                    Ok(Some(message)) => self.take(message),
                    // A client that asks no more still gets its answers.
                    Ok(None) => {
                        self.stream.outbox.finish();
                        return;
                    }
                    Err(_) => {
                        self.queue.close_calls(&self.stream);
                        return;
                    }
                }
            }
            self.stream.give_up();
            self.stream.outbox.finish();
        });
        answers
    }

    /// The next message. A client that does not read its answers is not read either.
    async fn next(
        &self,
        requests: &mut Streaming<pb::EnqueueStreamRequest>,
    ) -> Result<Option<pb::EnqueueStreamRequest>, Status> {
        // How many answers may be owed is the limit of open calls.
        self.stream.outbox.eased(usize::MAX).await;
        requests.message().await
    }

    fn take(&self, message: pb::EnqueueStreamRequest) {
        let mut submissions = Vec::with_capacity(message.calls.len());
        for call in message.calls {
            let call_id = call.call_id;
            if let Some(Ask::Forget(_)) = call.call {
                self.queue.forget(&self.stream, call_id);
            } else if let Err(error) = self.stream.open(call_id) {
                self.stream.say(call_id, CallWhat::Refused(error));
            } else {
                match self.read(call.call) {
                    Ok(Asked::Submission(submission, wait)) => submissions.push((call_id, submission, wait)),
                    Ok(Asked::Wait(tenant, id)) => self.queue.wait(&self.stream, call_id, tenant, id),
                    Err(error) => self.stream.answer(call_id, CallWhat::Refused(error)),
                }
            }
        }
        if !submissions.is_empty() {
            self.queue.enqueue_calls(&self.stream, submissions);
        }
    }

    fn read(&self, ask: Option<Ask>) -> Result<Asked, Error> {
        let submission = |request, wait| {
            let submission = self.decoder.submission(&self.caller, request)?;
            Ok(Asked::Submission(submission, wait))
        };
        match ask {
            Some(Ask::Enqueue(request)) => submission(request, false),
            Some(Ask::EnqueueAndWait(request)) => submission(request, true),
            Some(Ask::Wait(request)) => {
                let tenant = decode::tenant(&self.caller, &request.tenant)?;
                Ok(Asked::Wait(tenant, decode::id("wait.invocation_id", &request.invocation_id)?))
            }
            Some(Ask::Forget(_)) | None => Err(Error::invalid("calls.call", "is missing")),
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart where it was made")]
enum Asked {
    Submission(Submission, bool),
    Wait(String, Uuid),
}

/// The answers of one stream. Dropped, its waits are forgotten.
pub struct Answers {
    queue: Queue,
    stream: Arc<CallStream>,
}

impl Stream for Answers {
    type Item = Result<pb::EnqueueStreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // All answers go together.
        self.stream.outbox.poll(cx, MESSAGE_BYTES, |_, _| true).map(|next| {
            next.map(|run| match run {
                Ok(Run { items, .. }) => {
                    Ok(pb::EnqueueStreamResponse { answers: items.into_iter().map(answer).collect() })
                }
                Err(error) => Err(error.into()),
            })
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.queue.close_calls(&self.stream);
    }
}

fn answer(CallAnswer { call_id, what }: CallAnswer) -> Answer {
    let what = match what {
        CallWhat::Accepted(enqueued) => What::Accepted(enqueued.into()),
        CallWhat::Ended(record) => What::Ended(Box::new(convert::invocation(*record))),
        CallWhat::Refused(error) => What::Status(Bytes::from(error.to_proto().encode_to_vec())),
    };
    Answer { call_id, answer: Some(what) }
}
