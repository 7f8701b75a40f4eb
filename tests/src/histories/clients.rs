//! Clients that read and write the same few records at once, at any of the processes, and note what they were told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, DeleteRequest, Durability, GetRequest, Precondition, PutRequest, Value, precondition,
};
use prost::bytes::Bytes;
use rand::RngExt;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::answers::{Answer, Told, patiently};
use super::linear::Event;
use super::record::{Action, Expects, Mark};

/// What clients do.
#[derive(Debug, Clone)]
pub struct Load {
    /// Calls, all clients together.
    pub calls: u64,
    /// How many clients.
    pub clients: usize,
    /// How many records.
    pub records: usize,
    /// Of a hundred writes, how many ask for CACHED.
    pub cached_percent: u32,
}

/// What was noted, by record.
pub type Histories = Vec<Vec<Event<Action>>>;

/// What all clients share.
#[derive(Debug)]
struct Course {
    load: Load,
    begun: Instant,
    calls: AtomicU64,
    marks: AtomicU64,
    services: Vec<StateServiceClient<Channel>>,
}

impl Course {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}

/// A run of clients under way.
#[derive(Debug)]
pub struct Run {
    course: Arc<Course>,
    clients: JoinSet<Vec<(usize, Event<Action>)>>,
}

impl Run {
    /// Starts the clients.
    ///
    /// # Panics
    /// Where a URL is none.
    pub fn start(load: &Load, urls: &[String]) -> Self {
        let service = |url: &String| {
            let endpoint = Endpoint::from_shared(url.clone()).expect("a URL").connect_timeout(Duration::from_secs(1));
            StateServiceClient::new(endpoint.connect_lazy())
        };
        let course = Arc::new(Course {
            load: load.clone(),
            begun: Instant::now(),
            calls: AtomicU64::new(0),
            marks: AtomicU64::new(1),
            services: urls.iter().map(service).collect(),
        });
        let mut clients = JoinSet::new();
        for _ in 0..load.clients {
            clients.spawn(Client { course: Arc::clone(&course), known: HashMap::new(), noted: Vec::new() }.run());
        }
        Self { course, clients }
    }

    /// The time since its beginning, as its events have it.
    pub fn now(&self) -> u64 {
        self.course.now()
    }

    /// Calls begun so far.
    pub fn calls(&self) -> u64 {
        self.course.calls.load(Ordering::Relaxed).min(self.course.load.calls)
    }

    /// Waits for all clients, reads every record once more, and gives what all were told.
    pub async fn finish(self) -> Histories {
        let noted = self.clients.join_all().await;
        let mut histories = vec![Vec::new(); self.course.load.records];
        noted.into_iter().flatten().for_each(|(record, event)| histories[record].push(event));
        let mut last = Client { course: self.course, known: HashMap::new(), noted: Vec::new() };
        for record in 0..histories.len() {
            last.read(record).await;
        }
        last.noted.into_iter().for_each(|(record, event)| histories[record].push(event));
        histories
    }
}

struct Client {
    course: Arc<Course>,
    /// The versions that it has seen last.
    known: HashMap<usize, (Mark, Bytes)>,
    noted: Vec<(usize, Event<Action>)>,
}

impl Client {
    async fn run(mut self) -> Vec<(usize, Event<Action>)> {
        while self.course.calls.fetch_add(1, Ordering::Relaxed) < self.course.load.calls {
            let (record, dice) = {
                let mut rng = rand::rng();
                (rng.random_range(0..self.course.load.records), rng.random_range(0..100))
            };
            match dice {
                0..45 => self.read(record).await,
                45..85 => {
                    // Mostly on what was just read, now and then on what it remembers.
                    if dice >= 50 || !self.known.contains_key(&record) {
                        self.read(record).await;
                    }
                    self.write(record, false, false).await;
                }
                85..95 => self.write(record, true, false).await,
                _ => self.write(record, false, true).await,
            }
        }
        self.noted
    }

    fn note(&mut self, record: usize, action: Action, called: u64, answered: bool) {
        let returned = answered.then(|| self.course.now());
        self.noted.push((record, Event { action, called, returned }));
    }

    async fn read(&mut self, record: usize) {
        let called = self.course.now();
        let request = GetRequest { address: Some(address(record)), ..Default::default() };
        let told = patiently(&self.course.services, request, |mut service, request| async move {
            service.get(request).await.map(|answer| Answer::read(answer.into_inner()))
        })
        .await;
        if let Some(Answer::Read(seen)) = told.answer {
            match &seen {
                Some((mark, version)) => self.known.insert(record, (*mark, version.clone())),
                None => self.known.remove(&record),
            };
            self.note(record, Action::Read(seen.map(|(mark, _)| mark)), called, true);
        }
    }

    async fn write(&mut self, record: usize, blind: bool, deletes: bool) {
        let known = self.known.get(&record).cloned();
        if deletes && known.is_none() {
            return;
        }
        let (expects, must) = match known {
            _ if blind => (Expects::Anything, Some(precondition::Precondition::Overwrite(precondition::Overwrite {}))),
            Some((mark, version)) => (Expects::Mark(mark), Some(precondition::Precondition::Version(version))),
            None => (Expects::Nothing, None),
        };
        let cached = rand::rng().random_range(0..100) < self.course.load.cached_percent;
        let makes = (!deletes).then(|| self.course.marks.fetch_add(1, Ordering::Relaxed));
        let durability = if cached { Durability::Cached } else { Durability::Durable }.into();
        let (precondition, write_id) = (must.map(|must| Precondition { precondition: Some(must) }), Uuid::now_v7());
        let called = self.course.now();
        let told = match makes {
            Some(mark) => {
                let value = Value { data: mark.to_string().into(), content_type: String::new() };
                let request = PutRequest {
                    address: Some(address(record)),
                    value: Some(value),
                    precondition,
                    write_id: write_id.to_string(),
                    durability,
                    ..Default::default()
                };
                patiently(&self.course.services, request, |mut service, request| async move {
                    service.put(request).await.map(|answer| Answer::put(answer.into_inner()))
                })
                .await
            }
            None => {
                let request = DeleteRequest {
                    address: Some(address(record)),
                    precondition,
                    write_id: write_id.to_string(),
                    durability,
                    ..Default::default()
                };
                patiently(&self.course.services, request, |mut service, request| async move {
                    service.delete(request).await.map(|answer| Answer::deleted(answer.into_inner()))
                })
                .await
            }
        };
        self.conclude(record, (expects, makes, !cached), called, told);
    }

    fn conclude(
        &mut self,
        record: usize,
        (expects, makes, durable): (Expects, Option<Mark>, bool),
        called: u64,
        told: Told,
    ) {
        self.known.remove(&record);
        let action = match told.answer {
            Some(Answer::Written { version, durable }) => {
                if let (Some(mark), Some(version)) = (makes, version) {
                    self.known.insert(record, (mark, version));
                }
                Action::Write { expects, makes, durable }
            }
            // A try before this one may have been taken, seen by others, and lost or overwritten since.
            _ if told.doubtful => {
                return self.note(record, Action::Write { expects, makes, durable }, called, false);
            }
            Some(Answer::Conflict(met)) => Action::Conflict { expects, met },
            Some(Answer::Gone) => {
                let Expects::Mark(expects) = expects else { panic!("nothing was presented that can be gone") };
                Action::Gone { expects }
            }
            Some(Answer::Read(seen)) => Action::Read(seen.map(|(mark, _)| mark)),
            None => return,
        };
        self.note(record, action, called, true);
    }
}

/// Records share partitions, and partitions shards.
fn address(record: usize) -> Address {
    Address { namespace: "histories".into(), partition: format!("p{}", record / 4), key: format!("k{}", record % 4) }
}
