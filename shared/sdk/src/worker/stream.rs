//! The stream to the queue: opened, kept, and opened again.

mod line;
mod talk;

use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};

use holdfast_proto::queue::v1::{self as pb, queue_service_client::QueueServiceClient, work_response::Message as Down};
use holdfast_resilience::Backoff;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use self::line::{Line, closed, silent};
use crate::{
    Endpoints, Error,
    calls::{HINT_MAX, spread},
    endpoints::Links,
    worker::{
        Settings,
        desk::Desk,
        handler::Handler,
        report::Report,
        shutdown::{Phase, Shutdown},
    },
};

/// Between streams. The first try is almost at once: a broken stream has two seconds to come back.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// How long the queue may take to welcome a worker.
const WELCOME_MAX: Duration = Duration::from_secs(5);

/// Largest message taken from the queue: a lease with the largest input that can be configured, and with what went wrong
/// before.
const LEASES_BYTES_MAX: usize = 256 << 20;

/// How long the queue may take to close a stream that was closed from here.
const PART_MAX: Duration = Duration::from_millis(500);

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
        let asked = pin!(shutdown);
        let mut shutdown = Shutdown::new(asked, self.settings.drain);
        let mut failed = 0;
        loop {
            let opened = Instant::now();
            match self.session(&mut shutdown).await {
                End::Left if shutdown.phase() == Phase::Over || self.desk.is_idle() => return Ok(()),
                End::Left => {}
                End::Broken(error @ (Error::Denied(_) | Error::Invalid(_))) => return Err(error),
                End::Broken(error) => {
                    failed = if opened.elapsed() > BACKOFF.max { 1 } else { failed + 1 };
                    let hint = spread(error.retry_after().unwrap_or_default().min(HINT_MAX));
                    let wait = hint.max(BACKOFF.delay(failed, &mut rand::rng()));
                    tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "no stream to the queue: opening another");
                    // Where there are several queues, the next stream is at another: this one may hang as well as be gone.
                    self.links.queue.leave_address();
                    if !self.pause(wait, &mut shutdown).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits without a stream. False once there is nothing left to open one for.
    async fn pause<F: Future<Output = ()>>(&mut self, wait: Duration, shutdown: &mut Shutdown<'_, F>) -> bool {
        let until = Instant::now() + wait;
        loop {
            if shutdown.phase() == Phase::Over || (!shutdown.is_working() && self.desk.is_idle()) {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended);
                }
                () = shutdown.turn() => {
                    self.next_phase(shutdown);
                }
            }
        }
    }

    /// One stream, from hello to its end.
    async fn session<F: Future<Output = ()>>(&mut self, shutdown: &mut Shutdown<'_, F>) -> End {
        let (line, unsent) = Line::new(self.settings.concurrency);
        if let Err(error) = line.send([self.desk.hello(&self.settings.name, &self.agents)]) {
            return End::Broken(error);
        }
        let mut queue = QueueServiceClient::new(self.links.queue.clone()).max_decoding_message_size(LEASES_BYTES_MAX);
        let opening = async {
            let mut down = queue.work(unsent).await?.into_inner();
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
        if let Err(error) = line.send(self.desk.welcome(&welcome, Instant::now())) {
            return End::Broken(error);
        }
        let end = self.talk(&line, &mut down, shutdown).await;
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

    fn next_phase<F: Future<Output = ()>>(&mut self, shutdown: &mut Shutdown<'_, F>) -> Phase {
        let phase = shutdown.advance(Instant::now());
        match phase {
            Phase::Draining(_) => {
                tracing::info!("shutting down: no new work is taken");
                self.desk.close();
            }
            Phase::Settling(_) => {
                tracing::info!("the drain period is over: what still runs is handed back");
                self.hand_back.cancel();
            }
            Phase::Working | Phase::Over => {}
        }
        phase
    }
}
