//! Whoever calls: reads, writes on condition or blindly, alone or two at once, CACHED or DURABLE, under leases that are
//! superseded; and asks again when nobody answered.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    PROCESSES,
    history::{Asked, Call, Mark, Told, mark_of},
    random::Random,
    world::{Weather, World},
};
use crate::{
    decider::Decider as _,
    domain::{Address, Precondition, Value, Vector},
    failed::Failed,
    store::{FenceScope, PageQuery, Unstored},
    write::{Command, Durability, Holder, Refusal, Write, Written},
};

/// How long a caller waits for an answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often he asks again.
const TRIES: usize = 3;

struct Caller {
    world: Arc<World>,
    random: Arc<Random>,
    /// What he has seen of each record.
    seen: HashMap<Address, Option<Vector>>,
    lease: Option<Holder>,
}

pub(super) async fn run(world: Arc<World>, _number: usize) {
    let random = Arc::clone(&world.shared.random);
    let mut caller = Caller { world, random, seen: HashMap::new(), lease: None };
    while !caller.world.shared.over.load(Relaxed) {
        let pause_ms = if caller.world.shared.weather == Weather::Mixed { 400 } else { 150 };
        sleep(Duration::from_millis(caller.random.below(pause_ms))).await;
        match caller.random.below(20) {
            0..8 => caller.read().await,
            8 => caller.list().await,
            9 => caller.register().await,
            _ => caller.write().await,
        }
    }
}

fn scope() -> FenceScope {
    FenceScope { tenant: "t".into(), name: "session:s".into() }
}

impl Caller {
    /// One call at one process, until the deadline, written down.
    async fn call<R>(
        &self,
        asked: Asked,
        at: usize,
        call: impl Future<Output = R>,
        told: impl FnOnce(&R) -> Told,
    ) -> Option<R> {
        let called = self.world.shared.history.lock().moment();
        let answer = timeout(DEADLINE, call).await.ok();
        let told = answer.as_ref().map_or(Told::Unknown, told);
        let mut history = self.world.shared.history.lock();
        let returned = history.moment();
        history.calls.push(Call { process: at, called, returned, asked, told });
        answer
    }

    fn somewhere(&self) -> usize {
        self.random.below(PROCESSES as u64) as usize
    }

    fn some_records(&self) -> Vec<Address> {
        let all = &self.world.shared.addresses;
        match self.random.below(3) {
            0 => all.clone(),
            _ => vec![self.random.pick(all).clone()],
        }
    }

    async fn read(&mut self) {
        let (at, addresses) = (self.somewhere(), self.some_records());
        let decider = self.world.process(at).decider;
        let found = self
            .call(Asked::Read(addresses.clone()), at, decider.get(&addresses), |found| match found {
                Ok(found) => Told::Found(found.iter().map(|one| one.as_deref().and_then(mark_of)).collect()),
                Err(_) => Told::NotDone,
            })
            .await;
        if let Some(Ok(found)) = found {
            let versions = found.into_iter().map(|one| one.filter(|one| one.is_live()).map(|one| one.vector.clone()));
            self.seen.extend(addresses.into_iter().zip(versions));
        }
    }

    async fn list(&mut self) {
        let at = self.somewhere();
        let partition = self.random.pick(&self.world.shared.addresses).in_partition();
        let all = &self.world.shared.addresses;
        let addresses: Vec<_> = all.iter().filter(|address| partition.contains(address)).cloned().collect();
        let query = PageQuery { partition, prefix: String::new(), after: String::new(), records: 100, bytes: 1 << 20 };
        let decider = self.world.process(at).decider;
        let wanted = addresses.clone();
        self.call(Asked::List(addresses), at, decider.list(query), |page| match page {
            Ok(page) => {
                let find = |address: &Address| page.records.iter().find(|(at, _)| at == address);
                Told::Found(wanted.iter().map(|address| find(address).and_then(|(_, one)| mark_of(one))).collect())
            }
            Err(_) => Told::NotDone,
        })
        .await;
    }

    async fn register(&mut self) {
        let at = self.somewhere();
        let number = self.world.shared.marks.fetch_add(1, Relaxed) + 1;
        let lease = Holder { scope: scope(), number, lease: format!("lease {number}").into() };
        let decider = self.world.process(at).decider;
        let asked = Asked::Fence { scope: scope().name.to_string(), number };
        let raises = self.random.once_in(3);
        let told = |done: &Result<(), Failed>| if done.is_ok() { Told::Done } else { Told::NotDone };
        if raises {
            // Whoever holds it then is nobody.
            self.call(asked, at, decider.raise_fence(&scope(), number), told).await;
        } else {
            self.call(asked, at, decider.register_fence(&lease), told).await;
        }
        self.lease = (!raises).then_some(lease);
    }

    async fn write(&mut self) {
        let addresses = match self.random.below(5) {
            0 => self.world.shared.addresses[..2].to_vec(),
            _ => vec![self.random.pick(&self.world.shared.addresses).clone()],
        };
        let id = Uuid::from_u128(u128::from(self.world.shared.marks.fetch_add(1, Relaxed) + 1));
        let cached = self.random.below(2) == 0;
        let (mut writes, mut makes) = (Vec::new(), Vec::new());
        for address in addresses {
            let mark = (!self.random.once_in(8)).then(|| self.world.shared.marks.fetch_add(1, Relaxed) + 1);
            makes.push((address.clone(), mark));
            writes.push(self.one_write(address, mark));
        }
        let command = Command {
            writes,
            guard: None,
            // A write that makes nothing is only known by its id.
            write_id: (!self.random.once_in(4) || makes.iter().any(|(_, mark)| mark.is_none())).then_some(id),
            invocation_id: "".into(),
            durability: if cached { Durability::Cached } else { Durability::Durable },
            now: 0,
        };
        let lease = self.lease.clone().filter(|_| self.random.once_in(3));
        for tried in 0..TRIES {
            let again = tried > 0;
            let asked = Asked::Write { id, makes: makes.clone(), cached, again };
            let at = self.somewhere();
            let decider = self.world.process(at).decider;
            let written = self.call(asked, at, decider.write(&command, lease.as_ref()), told).await;
            let unknown = written.as_ref().is_none_or(|written| matches!(told(written), Told::Unknown));
            self.remember(&command, written);
            if !unknown || command.write_id.is_none() || self.random.once_in(2) {
                return;
            }
        }
    }

    fn one_write(&self, address: Address, mark: Option<Mark>) -> Write {
        let precondition = match (self.random.below(8), self.seen.get(&address)) {
            (0, _) => Precondition::Overwrite,
            (_, Some(Some(vector))) => Precondition::Version(vector.clone()),
            (..) => Precondition::Absent,
        };
        let value =
            mark.map(|mark| Value { data: Bytes::copy_from_slice(&mark.to_be_bytes()), content_type: "".into() });
        Write { address, precondition, value, expires: None }
    }

    fn remember(&mut self, command: &Command, written: Option<Result<Written, Failed>>) {
        match written {
            Some(Ok(written)) => {
                for (write, record) in command.writes.iter().zip(written.records) {
                    let live = write.value.is_some().then_some(record.vector);
                    self.seen.insert(write.address.clone(), live);
                }
            }
            Some(Err(Failed::Refused(refusal))) => {
                if let Refusal::Conflict { current, .. } | Refusal::Lost { current, .. } = *refusal {
                    let live = current.edition.is_some_and(|edition| edition.is_live()).then_some(current.vector);
                    self.seen.insert(current.address, live);
                }
            }
            _ => {}
        }
    }
}

fn told(written: &Result<Written, Failed>) -> Told {
    match written {
        Ok(written) => Told::Taken {
            durable: written.durability == Durability::Durable,
            versions: written.records.iter().map(|record| (record.vector.clone(), record.revision)).collect(),
        },
        Err(Failed::Refused(refusal)) => match &**refusal {
            Refusal::Conflict { current, may_have_happened, .. } => Told::Conflict {
                at: current.address.clone(),
                found: current.edition.as_deref().and_then(mark_of),
                may_have_happened: *may_have_happened,
            },
            Refusal::Lost { .. } => Told::Lost,
            Refusal::LockLost { .. } | Refusal::NotThere { .. } => Told::Refused,
        },
        Err(Failed::Fenced(_)) => Told::Refused,
        Err(Failed::Store(Unstored { in_doubt: true, .. }) | Failed::Closed { in_doubt: true }) => Told::Unknown,
        Err(_) => Told::NotDone,
    }
}

/// When all trouble is over, every process answers everything.
pub(super) async fn look_at_everything(world: &Arc<World>) {
    let random = Arc::clone(&world.shared.random);
    let caller = Caller { world: Arc::clone(world), random, seen: HashMap::new(), lease: None };
    for at in 0..PROCESSES {
        let decider = world.process(at).decider;
        let addresses = world.shared.addresses.clone();
        let seen = caller.call(Asked::Read(addresses.clone()), at, decider.get(&addresses), |found| match found {
            Ok(found) => Told::Found(found.iter().map(|one| one.as_deref().and_then(mark_of)).collect()),
            Err(_) => Told::NotDone,
        });
        let seen = seen.await;
        let partitions = [addresses[0].in_partition(), addresses[2].in_partition()];
        let synced = timeout(DEADLINE, try_join_all(partitions.iter().map(|partition| decider.sync(partition)))).await;
        if !matches!(seen, Some(Ok(_))) || !matches!(synced, Ok(Ok(_))) {
            world.shared.history.lock().unhealed.push(format!("process {at}: {seen:?}, {synced:?}"));
        }
    }
}
