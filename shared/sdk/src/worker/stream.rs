//! The stream to the queue: opened, kept, and opened again.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use holdfast_proto::queue::v1::{
    self as pb, queue_service_client::QueueServiceClient, work_request::Message as Up, work_response::Message as Down,
};
use holdfast_resilience::Backoff;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    Context, Endpoints, Error,
    endpoints::Links,
    worker::{Settings, attempt, desk::Desk, handler::Handler, report::Report},
};

/// Between streams. The first try is almost at once: a broken stream has two seconds to come back.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// How long the queue may take to welcome a worker.
const WELCOME_MAX: Duration = Duration::from_secs(5);

/// How long the queue may take, after the drain, to answer what was handed back.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// How long the queue may take to close a stream that was closed from here.
const PART_MAX: Duration = Duration::from_millis(500);

/// Messages of one stream that may wait to be sent: reports and heartbeats are bounded by the leases held.
const UNSENT_SPARE: usize = 64;

pub(crate) struct Stream {
    links: Links,
    handlers: HashMap<String, Arc<dyn Handler>>,
    agents: Vec<String>,
    settings: Settings,
    desk: Desk,
    /// The running handlers; they end with this.
    attempts: JoinSet<Finished>,
    hand_back: CancellationToken,
}

/// A handler has ended.
struct Finished {
    token: String,
    report: Option<Report>,
}

/// Where a shutdown stands.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Working,
    /// Until then, handlers may go on.
    Draining(Instant),
    /// Until then, the queue may answer.
    Settling(Instant),
    Over,
}

/// Why a stream ended.
enum End {
    Broken(Error),
    /// Closed from here.
    Left,
}

impl Stream {
    pub(crate) fn new(
        endpoints: Endpoints,
        handlers: HashMap<String, Arc<dyn Handler>>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let links = endpoints.links()?;
        if handlers.is_empty() {
            return Err(Error::Invalid("a worker needs at least one agent".into()));
        }
        let mut agents: Vec<_> = handlers.keys().cloned().collect();
        agents.sort();
        let desk = Desk::new(settings.concurrency, Instant::now());
        let hand_back = CancellationToken::new();
        Ok(Self { links, handlers, agents, settings, desk, attempts: JoinSet::new(), hand_back })
    }

    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = pin!(shutdown);
        let mut phase = Phase::Working;
        let mut failed = 0;
        loop {
            let opened = Instant::now();
            match self.session(&mut phase, shutdown.as_mut()).await {
                End::Left if phase == Phase::Over || self.desk.is_idle() => return Ok(()),
                End::Left => {}
                End::Broken(error @ (Error::Denied(_) | Error::Invalid(_))) => return Err(error),
                End::Broken(error) => {
                    failed = if opened.elapsed() > BACKOFF.max { 1 } else { failed + 1 };
                    let hint = error.retry_after().unwrap_or_default().min(BACKOFF.max);
                    let wait = hint.max(BACKOFF.delay(failed, &mut rand::rng()));
                    tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "no stream to the queue: opening another");
                    if !self.pause(wait, &mut phase, shutdown.as_mut()).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits without a stream. False once there is nothing left to open one for.
    async fn pause(
        &mut self,
        wait: Duration,
        phase: &mut Phase,
        mut shutdown: impl Future<Output = ()> + Unpin,
    ) -> bool {
        let until = Instant::now() + wait;
        loop {
            if *phase == Phase::Over || (*phase != Phase::Working && self.desk.is_idle()) {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended);
                }
                () = turn(*phase, &mut shutdown) => self.advance(phase),
            }
        }
    }

    /// One stream, from hello to its end.
    async fn session(&mut self, phase: &mut Phase, shutdown: impl Future<Output = ()> + Unpin) -> End {
        let (up, unsent) = mpsc::channel(2 * self.settings.concurrency as usize + UNSENT_SPARE);
        let line = Line { up };
        let _ = line.send(self.desk.hello(&self.settings.name, &self.agents));
        let mut queue = QueueServiceClient::new(self.links.queue.clone());
        let opening = async {
            let mut down = queue.work(ReceiverStream::new(unsent)).await?.into_inner();
            let first = down.message().await?;
            Ok::<_, Status>((down, first))
        };
        // A shutdown waits for the welcome: leases may be on their way behind it.
        let (mut down, first) = match tokio::time::timeout(WELCOME_MAX, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(status)) => return End::Broken(status.into()),
            Err(_) => return End::Broken(silent()),
        };
        let Some(Down::Welcome(welcome)) = first.and_then(|first| first.message) else {
            return End::Broken(closed());
        };
        for message in self.desk.welcome(&welcome, Instant::now()) {
            if let Err(error) = line.send(message) {
                return End::Broken(error);
            }
        }
        let end = self.talk(&line, &mut down, phase, shutdown).await;
        if let End::Left = end {
            drop(line);
            self.part(down).await;
        }
        end
    }

    /// The stream was closed from here. What the queue had sent by then is handed back, or it would wait for a worker
    /// that does not know of it.
    async fn part(&self, mut down: Streaming<pb::WorkResponse>) {
        let rest = async {
            while let Ok(Some(message)) = down.message().await {
                let Some(Down::Leases(late)) = message.message else { continue };
                for lease in late.leases {
                    let mut queue = QueueServiceClient::new(self.links.queue.clone());
                    if let Err(status) = queue.release(pb::ReleaseRequest { token: lease.token }).await {
                        tracing::warn!(error = status.message(), "a lease that came late was not handed back");
                    }
                }
            }
        };
        let _ = tokio::time::timeout(PART_MAX, rest).await;
    }

    /// An open stream: passes messages between the queue, the desk and the handlers.
    async fn talk(
        &mut self,
        line: &Line,
        down: &mut Streaming<pb::WorkResponse>,
        phase: &mut Phase,
        mut shutdown: impl Future<Output = ()> + Unpin,
    ) -> End {
        loop {
            if *phase != Phase::Working && self.desk.is_idle() {
                return End::Left;
            }
            let sent = tokio::select! {
                message = down.message() => match message {
                    Ok(Some(message)) => self.receive(message, line),
                    Ok(None) => return End::Broken(closed()),
                    Err(status) => return End::Broken(status.into()),
                },
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended).map_or(Ok(()), |message| line.send(message))
                }
                () = tokio::time::sleep_until(self.desk.due()) => match self.desk.tick(Instant::now()) {
                    Some(due) => due.into_iter().try_for_each(|message| line.send(message)),
                    None => return End::Broken(silent()),
                },
                () = turn(*phase, &mut shutdown) => {
                    // Credits cannot be taken back: a worker that drains goes on over a stream that never had any. And
                    // one that has waited long enough leaves for good.
                    let drained = matches!(phase, Phase::Draining(_));
                    self.advance(phase);
                    if !drained {
                        return End::Left;
                    }
                    Ok(())
                }
            };
            let room = sent.and_then(|()| self.desk.room().map_or(Ok(()), |credits| line.send(credits)));
            if let Err(error) = room {
                return End::Broken(error);
            }
        }
    }

    fn receive(&mut self, message: pb::WorkResponse, line: &Line) -> Result<(), Error> {
        match message.message {
            Some(Down::Leases(granted)) => granted.leases.into_iter().try_for_each(|lease| self.start(lease, line)),
            Some(Down::Heartbeat(answer)) => {
                self.desk.renewed(&answer);
                Ok(())
            }
            Some(Down::Settled(settled)) => {
                let again = self.desk.settled(&settled.token, &settled.status, Instant::now());
                again.map_or(Ok(()), |message| line.send(message))
            }
            Some(Down::Revoked(revoked)) => {
                self.desk.revoked(&revoked.token, &revoked.reason);
                Ok(())
            }
            Some(Down::Draining(_)) => {
                tracing::info!("the queue drains: it ends this stream when it is done");
                Ok(())
            }
            // A second welcome says nothing new; what is not known comes from a newer queue.
            Some(Down::Welcome(_)) | None => Ok(()),
        }
    }

    /// Starts a handler for a lease.
    fn start(&mut self, lease: pb::Lease, line: &Line) -> Result<(), Error> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let held = match self.desk.leased(lease, Instant::now(), wall) {
            Ok(held) => held,
            Err(release) => return line.send(release),
        };
        let agent = held.invocation.spec.as_ref().map(|spec| spec.agent.clone()).unwrap_or_default();
        let Some(handler) = self.handlers.get(&agent).cloned() else {
            tracing::error!(agent, "the queue sent work that this worker did not ask for");
            return self.desk.finished(&held.token, Some(Report::Release)).map_or(Ok(()), |release| line.send(release));
        };
        let context = Context::new(&self.links, held.clone(), self.settings.tool_patience)?;
        let hand_back = self.hand_back.clone();
        self.attempts.spawn(async move {
            let token = held.token.clone();
            let report = attempt::run(context, held, handler, hand_back).await;
            Finished { token, report }
        });
        Ok(())
    }

    fn ended(&mut self, ended: Result<Finished, JoinError>) -> Option<Up> {
        match ended {
            Ok(Finished { token, report }) => self.desk.finished(&token, report),
            // A handler's panic is caught within the attempt, and nobody aborts one.
            Err(error) => unreachable!("an attempt ended without a report: {error}"),
        }
    }

    /// The next phase of a shutdown.
    fn advance(&mut self, phase: &mut Phase) {
        match *phase {
            Phase::Working => {
                tracing::info!("shutting down: no new work is taken");
                self.desk.close();
                *phase = Phase::Draining(Instant::now() + self.settings.drain);
            }
            Phase::Draining(_) => {
                tracing::info!("the drain period is over: what still runs is handed back");
                self.hand_back.cancel();
                *phase = Phase::Settling(Instant::now() + SETTLE_MAX);
            }
            Phase::Settling(_) | Phase::Over => *phase = Phase::Over,
        }
    }
}

/// Completes when the shutdown's next phase begins.
async fn turn(phase: Phase, shutdown: &mut (impl Future<Output = ()> + Unpin)) {
    match phase {
        Phase::Working => shutdown.await,
        Phase::Draining(until) | Phase::Settling(until) => tokio::time::sleep_until(until).await,
        Phase::Over => {}
    }
}

/// The way up of one stream.
struct Line {
    up: mpsc::Sender<pb::WorkRequest>,
}

impl Line {
    /// Hands a message to the connection, which sends it in order. One that takes nothing any more counts as broken.
    fn send(&self, message: Up) -> Result<(), Error> {
        self.up.try_send(pb::WorkRequest { message: Some(message) }).map_err(|_| silent())
    }
}

fn silent() -> Error {
    broken("the queue does not answer")
}

fn closed() -> Error {
    broken("the queue closed the stream")
}

fn broken(message: &str) -> Error {
    Error::Unavailable { retry_after: None, may_have_happened: true, message: message.into() }
}
