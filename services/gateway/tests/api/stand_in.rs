//! A queue of the test's own: it answers as it is told, and remembers what came.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use holdfast_config::{Common, Peer};
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::service::{Host, Routes};
use holdfast_rpc::{Caller, Error, id};
use parking_lot::Mutex;
use pb::enqueue_stream_request::call::Call as Ask;
use pb::enqueue_stream_response::Answer as WireAnswer;
use pb::enqueue_stream_response::answer::Answer;
use pb::queue_service_server::{QueueService, QueueServiceServer};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the stand-in does with a submission, and some of it with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Accepts, and ends at once what is waited for.
    Accept,
    /// Accepts, and never ends.
    AcceptOnly,
    /// Takes it and says nothing.
    Silent,
    /// Takes it and breaks the stream before the answer.
    Break,
    /// Refuses it.
    Refuse,
    /// Is there, and says that what it needs is gone.
    Away,
    /// Accepts, and tells watchers more than anybody reads.
    Flood,
}

/// Who called, as the stand-in saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub tenant: Option<String>,
    pub role: &'static str,
    pub principal: String,
    pub metadata: tonic::metadata::MetadataMap,
}

#[derive(Default)]
struct Book {
    /// Accepted invocations by (tenant, idempotency key).
    keys: HashMap<(String, String), String>,
    /// Reads that were asked for.
    reads: usize,
    /// Every submission that came, with its tenant; messages are counted apart.
    submissions: Vec<pb::EnqueueRequest>,
    messages: usize,
    seen: Vec<Seen>,
}

/// A queue that is told what to do.
#[derive(Clone)]
pub struct Queue {
    mode: Arc<watch::Sender<Mode>>,
    book: Arc<Mutex<Book>>,
    /// Rises with everything that comes.
    came: Arc<watch::Sender<usize>>,
    forgotten: Arc<watch::Sender<usize>>,
    /// Falls when a watcher's stream ends.
    watchers: Arc<watch::Sender<usize>>,
}

impl Queue {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode: Arc::new(watch::Sender::new(mode)),
            book: Arc::default(),
            came: Arc::default(),
            forgotten: Arc::default(),
            watchers: Arc::default(),
        }
    }

    /// Serves on a port that the system chooses, until the test ends.
    pub async fn serve(&self, common: &Common) -> SocketAddr {
        let host = Host::bind(Peer::Queue.name(), "127.0.0.1:0", common).await.expect("a free port");
        let address = host.address();
        let routes = Routes::new(QueueServiceServer::new(self.clone()));
        tokio::spawn(async move { host.serve(routes).await.expect("the stand-in serves") });
        address
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Forgets what came so far.
    pub fn clear(&self) {
        *self.book.lock() = Book::default();
        self.came.send_replace(0);
        self.forgotten.send_replace(0);
    }

    pub fn submissions(&self) -> Vec<pb::EnqueueRequest> {
        self.book.lock().submissions.clone()
    }

    pub fn reads(&self) -> usize {
        self.book.lock().reads
    }

    /// Waits until one flooded watcher was there, and is gone.
    pub async fn unwatched(&self) {
        let mut watchers = self.watchers.subscribe();
        watchers.wait_for(|watchers| *watchers == 1).await.expect("the stand-in lives");
        watchers.wait_for(|watchers| *watchers == 0).await.expect("the stand-in lives");
    }

    /// Events without an end, until nobody takes them.
    fn flood(&self) -> Answers<pb::WatchInvocationResponse> {
        self.watchers.send_modify(|watchers| *watchers += 1);
        let watched = Watched(self.watchers.clone());
        let events = (1..).map(move |offset| {
            let _counted = &watched;
            let chunk = pb::invocation_event::Chunk { attempt: 1, data: vec![b'x'; 16 << 10].into() };
            let event = Some(pb::invocation_event::Event::Chunk(chunk));
            Ok(pb::WatchInvocationResponse { event: Some(pb::InvocationEvent { offset, event, ..Default::default() }) })
        });
        Box::pin(futures::stream::iter(events))
    }

    pub fn messages(&self) -> usize {
        self.book.lock().messages
    }

    pub fn last_seen(&self) -> Seen {
        self.book.lock().seen.last().cloned().expect("somebody called")
    }

    /// Waits until so many submissions, or reads that are not answered, have come.
    pub async fn came(&self, count: usize) {
        self.came.subscribe().wait_for(|came| *came >= count).await.expect("the stand-in lives");
    }

    /// Waits until so many waits were taken back.
    pub async fn forgotten(&self, count: usize) {
        self.forgotten.subscribe().wait_for(|forgotten| *forgotten >= count).await.expect("the stand-in lives");
    }

    fn note<T>(&self, request: &Request<T>) {
        let caller = Caller::of(request);
        self.book.lock().seen.push(Seen {
            tenant: caller.named_tenant().map(str::to_owned),
            role: caller.role.name(),
            principal: caller.principal.clone(),
            metadata: request.metadata().clone(),
        });
    }

    /// The answers to one call of the many-calls stream; `None` breaks the stream.
    fn answer(&self, ask: Option<Ask>) -> Option<Vec<Answer>> {
        let mode = *self.mode.borrow();
        match ask {
            Some(Ask::Enqueue(request)) => self.enqueue(mode, request, false),
            Some(Ask::EnqueueAndWait(request)) => self.enqueue(mode, request, true),
            Some(Ask::Wait(wait)) if mode == Mode::Accept => {
                Some(vec![Answer::Ended(Box::new(ended(&wait.invocation_id)))])
            }
            Some(Ask::Forget(_)) => {
                self.forgotten.send_modify(|count| *count += 1);
                Some(Vec::new())
            }
            _ => Some(Vec::new()),
        }
    }

    fn enqueue(&self, mode: Mode, request: pb::EnqueueRequest, waits: bool) -> Option<Vec<Answer>> {
        let accepted = self.accept(request);
        self.came.send_modify(|count| *count += 1);
        match mode {
            Mode::Break => None,
            Mode::Silent => Some(Vec::new()),
            Mode::Refuse => {
                let status = Error::already_exists("first-id", "the key was used with another payload").to_proto();
                Some(vec![Answer::Status(status.encode_to_vec().into())])
            }
            Mode::Away => {
                let status = Error::unavailable("the store is gone", Duration::from_millis(1)).to_proto();
                Some(vec![Answer::Status(status.encode_to_vec().into())])
            }
            Mode::Accept if waits => {
                let end = ended(&accepted.invocation_id);
                Some(vec![Answer::Accepted(accepted), Answer::Ended(Box::new(end))])
            }
            Mode::Accept | Mode::AcceptOnly | Mode::Flood => Some(vec![Answer::Accepted(accepted)]),
        }
    }

    fn accept(&self, request: pb::EnqueueRequest) -> pb::EnqueueResponse {
        let mut book = self.book.lock();
        book.submissions.push(request.clone());
        let key = request.spec.unwrap_or_default().idempotency_key;
        if key.is_empty() {
            return pb::EnqueueResponse { invocation_id: id::new(), created: true };
        }
        let mut created = false;
        let id = book.keys.entry((request.tenant, key)).or_insert_with(|| {
            created = true;
            id::new()
        });
        pb::EnqueueResponse { invocation_id: id.clone(), created }
    }
}

/// One watcher, counted until it is gone.
struct Watched(Arc<watch::Sender<usize>>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.send_modify(|watchers| *watchers -= 1);
    }
}

fn ended(id: &str) -> pb::Invocation {
    let state = pb::InvocationState::Succeeded as i32;
    pb::Invocation { id: id.to_owned(), state, ..Default::default() }
}

#[tonic::async_trait]
impl QueueService for Queue {
    type EnqueueStreamStream = Answers<pb::EnqueueStreamResponse>;
    type WatchInvocationStream = Answers<pb::WatchInvocationResponse>;
    type WorkStream = Answers<pb::WorkResponse>;

    async fn enqueue_stream(
        &self,
        request: Request<Streaming<pb::EnqueueStreamRequest>>,
    ) -> Result<Response<Self::EnqueueStreamStream>, Status> {
        let (answers, outbox) = mpsc::channel(16);
        let (queue, mut calls) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(message)) = calls.message().await {
                queue.book.lock().messages += 1;
                let mut said = Vec::new();
                for call in message.calls {
                    let Some(answers) = queue.answer(call.call) else { return };
                    said.extend(
                        answers.into_iter().map(|answer| WireAnswer { call_id: call.call_id, answer: Some(answer) }),
                    );
                }
                if answers.send(Ok(pb::EnqueueStreamResponse { answers: said })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    async fn get_invocation(
        &self,
        request: Request<pb::GetInvocationRequest>,
    ) -> Result<Response<pb::GetInvocationResponse>, Status> {
        self.note(&request);
        self.book.lock().reads += 1;
        if *self.mode.borrow() == Mode::Silent {
            self.came.send_modify(|came| *came += 1);
            return std::future::pending().await;
        }
        if *self.mode.borrow() == Mode::Away {
            return Err(Error::unavailable("the store is gone", Duration::from_millis(1)).into());
        }
        let id = request.into_inner().invocation_id;
        if *self.mode.borrow() == Mode::Refuse {
            return Err(Error::not_found(format!("invocation {id}")).into());
        }
        Ok(Response::new(pb::GetInvocationResponse { invocation: Some(ended(&id)) }))
    }

    async fn list_invocations(
        &self,
        request: Request<pb::ListInvocationsRequest>,
    ) -> Result<Response<pb::ListInvocationsResponse>, Status> {
        self.note(&request);
        let request = request.into_inner();
        let labels = HashMap::from([("agent".to_owned(), request.agent)]);
        let spec = pb::InvocationSpec { session: request.session, labels, ..Default::default() };
        let invocation = pb::Invocation { spec: Some(spec), attempt: request.page_size, ..Default::default() };
        Ok(Response::new(pb::ListInvocationsResponse {
            invocations: vec![invocation],
            next_page_token: format!("after {}", request.page_token),
        }))
    }

    /// Three events from the offset asked for; the fourth never comes.
    async fn watch_invocation(
        &self,
        request: Request<pb::WatchInvocationRequest>,
    ) -> Result<Response<Self::WatchInvocationStream>, Status> {
        self.note(&request);
        if *self.mode.borrow() == Mode::Flood {
            return Ok(Response::new(self.flood()));
        }
        let from = request.into_inner().from_offset;
        let event = |offset| pb::InvocationEvent { offset, ..Default::default() };
        let events = (from..from + 3).map(move |offset| Ok(pb::WatchInvocationResponse { event: Some(event(offset)) }));
        let last: Answers<_> = match *self.mode.borrow() {
            Mode::Refuse => {
                Box::pin(futures::stream::once(async { Err(Error::precondition("TOLD", "as told").into()) }))
            }
            _ => Box::pin(futures::stream::pending()),
        };
        Ok(Response::new(Box::pin(futures::stream::iter(events).chain(last))))
    }

    async fn cancel_invocation(
        &self,
        request: Request<pb::CancelInvocationRequest>,
    ) -> Result<Response<pb::CancelInvocationResponse>, Status> {
        self.note(&request);
        let request = request.into_inner();
        let failure = pb::Failure { message: request.reason, ..Default::default() };
        let invocation = pb::Invocation { failure: Some(failure), ..ended(&request.invocation_id) };
        Ok(Response::new(pb::CancelInvocationResponse { invocation: Some(invocation) }))
    }

    /// Answers each heartbeat with as many renewals as it has tokens; a release ends the stream with an error.
    async fn work(&self, request: Request<Streaming<pb::WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        self.note(&request);
        let answers = request.into_inner().map(|message| match message?.message {
            Some(pb::work_request::Message::Heartbeat(heartbeat)) => {
                let renewal = |token| pb::heartbeat_response::Renewal { token, ..Default::default() };
                let renewals = heartbeat.tokens.into_iter().map(renewal).collect();
                let message = pb::work_response::Message::Heartbeat(pb::HeartbeatResponse { renewals });
                Ok(pb::WorkResponse { message: Some(message) })
            }
            _ => Err(Error::precondition("LEASE_LOST", "as told").into()),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_depths(
        &self,
        request: Request<pb::ListDepthsRequest>,
    ) -> Result<Response<pb::ListDepthsResponse>, Status> {
        self.note(&request);
        Ok(Response::new(pb::ListDepthsResponse::default()))
    }

    /// Redrives what is named, and refuses what is asked for by filter.
    async fn redrive_invocations(
        &self,
        request: Request<pb::RedriveInvocationsRequest>,
    ) -> Result<Response<pb::RedriveInvocationsResponse>, Status> {
        self.note(&request);
        let pb::RedriveInvocationsRequest { invocation_ids, filter, redrive_id, page_token, limit, .. } =
            request.into_inner();
        let refusal = |filter: pb::redrive_invocations_request::Filter| pb::redrive_invocations_response::Refusal {
            invocation_id: redrive_id,
            reason: filter.agent,
            message: limit.to_string(),
            retry_after: None,
        };
        Ok(Response::new(pb::RedriveInvocationsResponse {
            invocation_ids,
            refusals: filter.map(refusal).into_iter().collect(),
            next_page_token: format!("after {page_token}"),
        }))
    }

    async fn enqueue(&self, _: Request<pb::EnqueueRequest>) -> Result<Response<pb::EnqueueResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn lease(&self, _: Request<pb::LeaseRequest>) -> Result<Response<pb::LeaseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn heartbeat(&self, _: Request<pb::HeartbeatRequest>) -> Result<Response<pb::HeartbeatResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn report_progress(
        &self,
        _: Request<pb::ReportProgressRequest>,
    ) -> Result<Response<pb::ReportProgressResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn complete(&self, _: Request<pb::CompleteRequest>) -> Result<Response<pb::CompleteResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn fail(&self, _: Request<pb::FailRequest>) -> Result<Response<pb::FailResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn release(&self, _: Request<pb::ReleaseRequest>) -> Result<Response<pb::ReleaseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
