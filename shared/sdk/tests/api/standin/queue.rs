mod service;

use std::{collections::HashMap, time::Duration};

use holdfast_proto::queue::v1::{
    self as pb, report_progress_request, work_request::Message as Up, work_response::Message as Down,
};
use holdfast_rpc::{
    Error, id,
    lease::{LeaseKey, LeaseToken},
    time,
};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tonic::Status;

/// Unless a test wants it shorter.
const TTL: Duration = Duration::from_secs(3);

type Answer = Result<pb::WorkResponse, Status>;

/// What a test submits.
#[derive(Default)]
pub struct Submission {
    pub agent: &'static str,
    pub input: &'static str,
    pub session: &'static str,
    pub deadline: Option<Duration>,
    pub traceparent: &'static str,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Completed(pb::CompleteRequest),
    Failed(pb::FailRequest),
    Released,
}

pub use service::Service;

pub struct Queue {
    key: LeaseKey,
    inner: Mutex<Inner>,
    /// Rises whenever something happens, so that tests wait for events.
    turn: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<pb::Invocation>,
    traces: HashMap<String, String>,
    /// By token.
    leases: HashMap<String, Leased>,
    ends: Vec<(String, End)>,
    streams: Vec<Worker>,
    hellos: Vec<pb::work_request::Hello>,
    heartbeats: u32,
    events: Vec<report_progress_request::Event>,
    fence: u64,
    /// Leases of each invocation.
    granted: HashMap<String, u32>,
    ttl: Option<Duration>,
    lose_settled: u32,
    mute: bool,
}

struct Leased {
    invocation: pb::Invocation,
    stream: u64,
}

struct Worker {
    stream: u64,
    agents: Vec<String>,
    credits: u32,
    down: mpsc::UnboundedSender<Answer>,
}

impl Queue {
    pub fn new(key: LeaseKey) -> Self {
        Self { key, inner: Mutex::default(), turn: watch::Sender::new(0) }
    }

    pub fn submit(&self, submission: Submission) -> String {
        let id = id::new();
        let micros = |span: Duration| time::now_micros() + span.as_micros() as i64;
        let spec = pb::InvocationSpec {
            agent: submission.agent.into(),
            payload: Some(pb::Payload { data: submission.input.into(), content_type: String::new() }),
            session: submission.session.into(),
            deadline: submission.deadline.map(|span| time::timestamp(micros(span))),
            ..Default::default()
        };
        self.change(|inner| {
            inner.traces.insert(id.clone(), submission.traceparent.into());
            inner.waiting.push(pb::Invocation {
                id: id.clone(),
                tenant: "default".into(),
                spec: Some(spec),
                ..Default::default()
            });
        });
        id
    }

    pub fn lease_ttl(&self, ttl: Duration) {
        self.inner.lock().ttl = Some(ttl);
    }

    /// The next so many answers to reports are lost on the way.
    pub fn lose_settled(&self, answers: u32) {
        self.inner.lock().lose_settled = answers;
    }

    /// Heartbeats are not answered any more.
    pub fn mute(&self, mute: bool) {
        self.inner.lock().mute = mute;
    }

    /// Takes a lease away and queues its invocation again, without a word to its holder.
    pub fn take_over(&self, id: &str) {
        self.change(|inner| {
            let token = inner.token_of(id).expect("it is leased");
            let mut invocation = inner.leases.remove(&token).expect("it is there").invocation;
            invocation.lost_leases += 1;
            invocation.attempt -= 1;
            inner.waiting.push(invocation);
        });
    }

    /// Takes a lease away, and says so.
    pub fn revoke(&self, id: &str, reason: &str) {
        self.change(|inner| {
            let token = inner.token_of(id).expect("it is leased");
            let leased = inner.leases.remove(&token).expect("it is there");
            inner.tell(leased.stream, Down::Revoked(pb::work_response::Revoked { token, reason: reason.into() }));
        });
    }

    /// Breaks every stream, as when a connection is cut.
    pub fn forget_streams(&self) {
        self.change(|inner| inner.streams.clear());
    }

    /// Streams that are open.
    pub fn workers(&self) -> usize {
        self.inner.lock().streams.len()
    }

    pub fn heartbeats(&self) -> u32 {
        self.inner.lock().heartbeats
    }

    pub fn hellos(&self) -> Vec<pb::work_request::Hello> {
        self.inner.lock().hellos.clone()
    }

    pub fn events(&self) -> Vec<report_progress_request::Event> {
        self.inner.lock().events.clone()
    }

    /// All ends of an invocation's attempts, as the queue took them.
    pub fn ends(&self, id: &str) -> Vec<End> {
        self.inner.lock().ends.iter().filter(|(of, _)| of == id).map(|(_, end)| end.clone()).collect()
    }

    /// Waits until an attempt has ended.
    pub async fn end(&self, id: &str) -> End {
        self.until(|_| self.ends(id).last().cloned()).await
    }

    pub async fn leased(&self, id: &str) {
        self.until(|queue| queue.inner.lock().token_of(id).map(drop)).await;
    }

    /// Waits until something can be seen.
    pub async fn until<T>(&self, see: impl Fn(&Self) -> Option<T>) -> T {
        let mut turn = self.turn.subscribe();
        loop {
            turn.borrow_and_update();
            if let Some(seen) = see(self) {
                return seen;
            }
            turn.changed().await.expect("the queue is ours");
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let value = change(&mut inner);
        inner.grant(&self.key);
        drop(inner);
        self.turn.send_modify(|turn| *turn += 1);
        value
    }

    fn receive(&self, stream: u64, message: Up) {
        self.change(|inner| match message {
            Up::Hello(hello) => {
                let adopted: Vec<_> =
                    hello.held_tokens.iter().filter(|token| inner.leases.contains_key(*token)).cloned().collect();
                for token in &adopted {
                    inner.leases.get_mut(token).expect("just seen").stream = stream;
                }
                let worker = inner.streams.iter_mut().find(|worker| worker.stream == stream).expect("open");
                worker.agents = hello.agents.clone();
                worker.credits = hello.credits;
                inner.hellos.push(hello);
                let heartbeat_interval = Some(time::duration(inner.ttl() / 3));
                let welcome =
                    pb::work_response::Welcome { adopted_tokens: adopted, heartbeat_interval, ..Default::default() };
                inner.tell(stream, Down::Welcome(welcome));
            }
            Up::Credits(more) => {
                if let Some(worker) = inner.streams.iter_mut().find(|worker| worker.stream == stream) {
                    worker.credits += more.credits;
                }
            }
            Up::Heartbeat(beat) => {
                inner.heartbeats += 1;
                let ttl = Some(time::duration(inner.ttl()));
                let renew = |token: String| match inner.leases.contains_key(&token) {
                    true => pb::heartbeat_response::Renewal { token, ttl, lost_reason: String::new() },
                    false => pb::heartbeat_response::Renewal { token, ttl: None, lost_reason: "LEASE_LOST".into() },
                };
                let renewals = beat.tokens.into_iter().map(renew).collect();
                if !inner.mute {
                    inner.tell(stream, Down::Heartbeat(pb::HeartbeatResponse { renewals }));
                }
            }
            Up::Complete(complete) => inner.settle(stream, complete.token.clone(), End::Completed(complete)),
            Up::Fail(fail) => inner.settle(stream, fail.token.clone(), End::Failed(fail)),
            Up::Release(release) => inner.settle(stream, release.token, End::Released),
            Up::Progress(_) => unreachable!("the SDK reports progress by unary calls"),
        });
    }
}

impl Inner {
    fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(TTL)
    }

    fn token_of(&self, id: &str) -> Option<String> {
        self.leases.iter().find(|(_, leased)| leased.invocation.id == id).map(|(token, _)| token.clone())
    }

    fn tell(&self, stream: u64, message: Down) {
        if let Some(worker) = self.streams.iter().find(|worker| worker.stream == stream) {
            let _ = worker.down.send(Ok(pb::WorkResponse { message: Some(message) }));
        }
    }

    fn grant(&mut self, key: &LeaseKey) {
        let mut granted = Vec::new();
        self.waiting.retain(|invocation| {
            let agent = invocation.spec.as_ref().map_or("", |spec| &spec.agent);
            let fits = |worker: &&mut Worker| worker.credits > 0 && worker.agents.iter().any(|name| name == agent);
            let Some(worker) = self.streams.iter_mut().find(fits) else { return true };
            worker.credits -= 1;
            granted.push((worker.stream, invocation.clone()));
            false
        });
        for (stream, mut invocation) in granted {
            invocation.attempt += 1;
            self.fence = (self.fence + 1).max(time::now_micros() as u64);
            let token = key.sign(&LeaseToken {
                tenant: invocation.tenant.clone(),
                session: invocation.spec.as_ref().map(|spec| spec.session.clone()).unwrap_or_default(),
                invocation_id: invocation.id.clone(),
                attempt: invocation.attempt,
                lease_id: id::new(),
                fence: self.fence,
                agent: invocation.spec.as_ref().map(|spec| spec.agent.clone()).unwrap_or_default(),
            });
            let earlier = self.granted.entry(invocation.id.clone()).or_default();
            let ttl = Some(time::duration(self.ttl.unwrap_or(TTL)));
            let lease = pb::Lease {
                invocation: Some(invocation.clone()),
                token: token.clone(),
                ttl,
                traceparent: self.traces.get(&invocation.id).cloned().unwrap_or_default(),
                fence: self.fence,
                earlier_leases: *earlier,
            };
            *earlier += 1;
            self.leases.insert(token, Leased { invocation, stream });
            self.tell(stream, Down::Leases(pb::LeaseResponse { leases: vec![lease] }));
        }
    }

    fn settle(&mut self, stream: u64, token: String, end: End) {
        let status = match self.leases.remove(&token) {
            Some(mut leased) => {
                self.ends.push((leased.invocation.id.clone(), end.clone()));
                if end == End::Released {
                    // What is handed back costs no attempt.
                    leased.invocation.attempt -= 1;
                    self.waiting.push(leased.invocation);
                }
                Vec::new()
            }
            // A repeat of what was taken gets the same answer.
            None if self.ends.iter().any(|(_, taken)| *taken == end) => Vec::new(),
            None => Error::precondition("LEASE_LOST", "the lease is another's").to_proto().encode_to_vec(),
        };
        match self.lose_settled.checked_sub(1) {
            Some(left) => {
                self.lose_settled = left;
                self.streams.retain(|worker| worker.stream != stream);
            }
            None => self.tell(stream, Down::Settled(pb::work_response::Settled { token, status: status.into() })),
        }
    }
}
