//! A place that decides in a few lines of memory: what everything above the port is tested on, in paused time, with trouble
//! on request. Several handles are several processes.

mod port;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;
use tokio::{sync::watch, task::yield_now, time::sleep};
use uuid::Uuid;

use crate::{
    domain::{self, Address, Edition, EpochId, Epochs, Fence, Seq, Standing, Vector, Verdict, Writer},
    failed::Failed,
    store::{FenceScope, Unstored},
    write::{Command, Current, Durability, Holder, Refusal, Written},
};

/// What a write meets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    /// It is taken, and the reply is lost.
    LostReply,
    /// It is not taken.
    Untaken,
}

/// One process's handle.
pub(crate) struct Model {
    shared: Arc<Shared>,
    /// What this process hears of.
    news: watch::Sender<Seq>,
    away: AtomicBool,
    mishaps: Mutex<VecDeque<Mishap>>,
    /// How long each call takes before it does anything.
    delay: Mutex<Duration>,
}

struct Shared {
    data: Mutex<Data>,
    news: watch::Sender<Seq>,
    epochs: Epochs,
}

#[derive(Default)]
struct Data {
    records: HashMap<Address, Arc<Edition>>,
    history: BTreeMap<Seq, (Address, Arc<Edition>)>,
    cut: Seq,
    fences: HashMap<FenceScope, Fence>,
}

impl Model {
    pub(crate) fn new() -> Arc<Self> {
        let news = watch::Sender::new(0);
        let shared = Shared { data: Mutex::default(), news: news.clone(), epochs: Epochs::new(EpochId(1)) };
        Self::process(Arc::new(shared), news)
    }

    /// Another process, which hears of nothing that is written elsewhere.
    pub(crate) fn deaf(&self) -> Arc<Self> {
        Self::process(Arc::clone(&self.shared), watch::Sender::new(0))
    }

    /// Another process.
    pub(crate) fn another(&self) -> Arc<Self> {
        Self::process(Arc::clone(&self.shared), self.shared.news.clone())
    }

    fn process(shared: Arc<Shared>, news: watch::Sender<Seq>) -> Arc<Self> {
        let (away, mishaps, delay) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Arc::new(Self { shared, news, away, mishaps, delay })
    }

    /// From now on nothing answers this process, or everything does again.
    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Relaxed);
    }

    /// How long each call takes from now on before it does anything.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock() = delay;
    }

    /// What the next writes of this process meet.
    pub(crate) fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.mishaps.lock().extend(mishaps);
    }

    /// Forgets the history up to its newest write.
    pub(crate) fn cut(&self) {
        let mut data = self.shared.data.lock();
        data.cut = data.newest();
        data.history.clear();
    }

    async fn there(&self) -> Result<(), Failed> {
        // Others come in between, as they do around every call of a real one.
        yield_now().await;
        let delay = *self.delay.lock();
        if delay > Duration::ZERO {
            sleep(delay).await;
        }
        if self.away.load(Relaxed) { Err(trouble(false)) } else { Ok(()) }
    }

    async fn take(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        self.there().await?;
        let mishap = self.mishaps.lock().pop_front();
        if matches!(mishap, Some(Mishap::Untaken)) {
            return Err(trouble(true));
        }
        let (written, newest) = {
            let mut data = self.shared.data.lock();
            let written = data.take(command, holder, &self.shared.epochs)?;
            (written, data.newest())
        };
        self.shared.news.send_replace(newest);
        yield_now().await;
        if mishap.is_some() { Err(trouble(true)) } else { Ok(written) }
    }
}

fn trouble(in_doubt: bool) -> Failed {
    Failed::Store(Unstored { failure: Failure::new(Class::Silent, "a mishap of the test's own"), in_doubt })
}

impl Data {
    fn newest(&self) -> Seq {
        self.history.last_key_value().map_or(self.cut, |(seq, _)| *seq)
    }

    fn take(&mut self, command: &Command, holder: Option<&Holder>, epochs: &Epochs) -> Result<Written, Failed> {
        if let Some(holder) = holder {
            self.register(holder)?;
        }
        if let Some(guard) = &command.guard {
            let lock = self.records.get(&guard.address);
            if !lock.is_some_and(|lock| lock.is_live() && lock.revision == guard.revision) {
                return Err(refused(Refusal::LockLost { address: guard.address.clone() }));
            }
        }
        for write in &command.writes {
            let current = self.records.get(&write.address).cloned();
            let floor = Vector::default();
            match domain::decide(&write.precondition, write.value.is_none(), current.as_deref(), &floor, epochs) {
                Verdict::Take => {}
                Verdict::NotThere => return Err(refused(Refusal::NotThere { address: write.address.clone() })),
                Verdict::Behind | Verdict::Lost => {
                    let vector = current.as_ref().map_or(floor, |edition| edition.vector.clone());
                    let current = Current { address: write.address.clone(), edition: current, vector };
                    return Err(refused(Refusal::Conflict { current, since: Vec::new(), may_have_happened: false }));
                }
            }
        }
        let records = command.writes.iter().map(|write| {
            let before = self.records.get(&write.address);
            let edition = Arc::new(Edition {
                record: 1,
                seq: self.newest() + 1,
                previous: before.map_or(0, |before| before.seq),
                revision: before.map_or(0, |before| before.revision) + 1,
                vector: before.map_or_else(Vector::default, |before| before.vector.clone()).next(epochs),
                value: write.value.clone(),
                writer: Writer { write_id: Uuid::now_v7(), invocation_id: "".into(), time: command.now },
                blind: false,
                expires: write.expires,
            });
            self.history.insert(edition.seq, (write.address.clone(), Arc::clone(&edition)));
            self.records.insert(write.address.clone(), Arc::clone(&edition));
            (&*edition).into()
        });
        Ok(Written { records: records.collect(), durability: Durability::Durable })
    }

    fn register(&mut self, holder: &Holder) -> Result<(), Failed> {
        let standing = domain::fence::standing(self.fences.get(&holder.scope), 0, holder.number, &holder.lease);
        match standing {
            Standing::Holds | Standing::Newer => {
                let fence = Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) };
                self.fences.insert(holder.scope.clone(), fence);
                Ok(())
            }
            refused => Err(Failed::Fenced(refused)),
        }
    }
}

fn refused(refusal: Refusal) -> Failed {
    Failed::Refused(Box::new(refusal))
}
