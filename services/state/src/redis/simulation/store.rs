//! The store as processes reach it: on the way, away, or silent about a commit; and what decides in it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use holdfast_storage::{Class, Failure};
use tokio::sync::watch;
use uuid::Uuid;

use super::{history::Take, kept::Kept, process::Life, world::Shared};
use crate::{
    decider::{Answer, Decider},
    domain::{Address, Edition, EpochId, Fence, Micros, Partition, Seq, ShardId, Standing, Vector},
    failed::Failed,
    recall::{Earlier, Recall, Told},
    redis::{
        archive::{Archive, Deciding, Flushed, Kept as Call, Open, Prefix, Switched, Unflushed, Who},
        judge::{Ground, Judged, Known, judge, shows_repeat_by_id_only},
    },
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery, Shelf, Unstored},
    write::{Command, Durability, Holder, Written, WrittenRecord},
};

/// The longest way of a call, in milliseconds.
const WAY_MS: u64 = 4;

/// One process's way to the store.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
}

impl Desk {
    /// One transaction; where it writes, it waits for the rows, and the answer to its commit may be lost.
    pub(super) async fn transact<R>(&self, writes: bool, step: impl FnOnce(&mut Kept) -> R) -> Result<R, Failure> {
        self.life.step(WAY_MS).await;
        if !writes {
            return self.reach(step).await;
        }
        self.shared.until_rows_are_free().await;
        self.commit(step).await
    }

    async fn commit<R>(&self, step: impl FnOnce(&mut Kept) -> R) -> Result<R, Failure> {
        let done = self.reach(step).await?;
        if self.shared.is_store_silent() {
            return Err(Failure::new(Class::Io, "the answer is lost").in_doubt());
        }
        Ok(done)
    }

    async fn reach<R>(&self, step: impl FnOnce(&mut Kept) -> R) -> Result<R, Failure> {
        if self.shared.store_away.load(Relaxed) {
            return Err(Failure::new(Class::Io, "the store is away"));
        }
        let done = step(&mut self.shared.kept.lock());
        self.life.step(WAY_MS).await;
        Ok(done)
    }
}

impl Archive for Desk {
    fn deciding(&self) -> Call<'_, Deciding> {
        self.transact(false, |kept| kept.deciding()).boxed()
    }

    fn believe(&self, epoch: EpochId, lease: Duration) -> Call<'_, ()> {
        self.transact(true, move |kept| kept.believe(epoch, lease)).boxed()
    }

    fn drain(&self, epoch: EpochId) -> Call<'_, ()> {
        self.transact(true, move |kept| kept.drain(epoch)).boxed()
    }

    fn flush(&self, epoch: EpochId, prefixes: Vec<Prefix>) -> BoxFuture<'_, Result<Vec<Flushed>, Unflushed>> {
        async move {
            let refused = *self.shared.refused.lock();
            if prefixes.iter().any(|prefix| Some(prefix.shard) == refused) {
                return Err(Unflushed::Failed(Failure::new(Class::Statement, "not this shard")));
            }
            let busy = self.shared.random.once_in(20);
            let stored = self.transact(true, move |kept| match busy {
                false => kept.flush(epoch, prefixes),
                true => Ok(prefixes
                    .iter()
                    .map(|prefix| Flushed { shard: prefix.shard, position: None, dirty: None })
                    .collect()),
            });
            stored.await.map_err(Unflushed::Failed)?
        }
        .boxed()
    }

    fn clean(&self, epoch: EpochId, shard: ShardId, at: Seq) -> Call<'_, bool> {
        self.transact(true, move |kept| kept.clean(epoch, shard, at)).boxed()
    }

    fn switch<'a>(&'a self, from: EpochId, to: Who, open: Open<'a>) -> Call<'a, Option<Switched>> {
        async move {
            self.life.step(WAY_MS).await;
            // The rows are locked from here on: whoever else would change them waits.
            let locked = self.shared.lock_rows(&self.life).await;
            let next = self.transact(false, |kept| (kept.epoch == from).then(|| kept.next())).await;
            let opened = match next {
                Ok(Some((next, places))) => {
                    open(next, places).await.map(|()| next).map_err(|_| Failure::new(Class::Io, "the place is away"))
                }
                Ok(None) => return self.shared.unlock_rows(locked).map(|_| None),
                Err(failure) => Err(failure),
            };
            let next = opened.inspect_err(|_| drop(self.shared.unlock_rows(locked)))?;
            self.life.step(WAY_MS).await;
            // A session that was idle for too long has ended, and its locks with it.
            self.shared.unlock_rows(locked)?;
            let now = self.shared.now();
            self.commit(move |kept| Some(Switched { epoch: next, lost: kept.switch(next, to, now) })).await
        }
        .boxed()
    }

    fn confirm_fence<'a>(
        &'a self,
        epoch: EpochId,
        holder: &'a Holder,
        copy: Option<ShardId>,
    ) -> Call<'a, Option<Result<Vec<ShardId>, Standing>>> {
        self.transact(true, move |kept| kept.confirm_fence(epoch, holder, copy)).boxed()
    }

    fn raise_fence<'a>(
        &'a self,
        epoch: EpochId,
        scope: &'a FenceScope,
        number: u64,
    ) -> Call<'a, Option<(Fence, Vec<ShardId>)>> {
        self.transact(true, move |kept| kept.raise_fence(epoch, scope, number)).boxed()
    }
}

/// What decides in the store.
pub(super) struct InStore(pub(super) Desk);

/// Why it does not.
enum Not {
    Elsewhere,
    Judged(Box<Judged>, Vec<Known>),
    Before(Vec<Earlier>),
}

impl InStore {
    async fn write(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        let write_id = command.write_id.unwrap_or_else(Uuid::now_v7);
        let shared = Arc::clone(&self.0.shared);
        let decided = self.0.transact(true, |kept| decide(kept, &shared, command, write_id, holder)).await;
        let decided = decided.map_err(|failure| {
            let in_doubt = failure.may_have_happened();
            Failed::Store(Unstored { failure, in_doubt })
        })?;
        let (index, known) = match decided {
            Ok(records) => return Ok(Written { records, durability: Durability::Durable }),
            Err(Not::Elsewhere) => return Err(Failed::Elsewhere),
            Err(Not::Before(earlier)) => return Ok(again(&earlier)),
            Err(Not::Judged(judged, known)) => match *judged {
                Judged::Refused(refusal) => return Err(Failed::Refused(refusal)),
                Judged::Late(late) => (late, known),
                Judged::Take(_) | Judged::Wait(_) => unreachable!("nothing is hidden in the store"),
            },
        };
        let mut late = *index;
        late.trails = known.iter().map(Known::trail).collect();
        match Recall::new(&self.0, command.writes[0].address.shard()).explain(command, late).await? {
            Told::Before(earlier) => Ok(again(&earlier)),
            Told::Conflict(refusal) => Err(Failed::Refused(refusal)),
        }
    }
}

fn again(earlier: &[Earlier]) -> Written {
    Written { records: earlier.iter().map(|one| (&one.note).into()).collect(), durability: Durability::Durable }
}

fn decide(
    kept: &mut Kept,
    shared: &Shared,
    command: &Command,
    write_id: Uuid,
    holder: Option<&Holder>,
) -> Result<Vec<WrittenRecord>, Not> {
    if kept.who != Who::Store {
        return Err(Not::Elsewhere);
    }
    let known: Vec<_> = command
        .writes
        .iter()
        .map(|write| Known { visible: kept.newest.get(&write.address).cloned(), tip: None })
        .collect();
    if command.writes.iter().zip(&known).any(|(write, known)| shows_repeat_by_id_only(write, known))
        && let Some(earlier) = before(kept, command, write_id)
    {
        return Err(Not::Before(earlier));
    }
    if let Some(holder) = holder {
        let confirmed = kept.confirm_fence(kept.epoch, holder, None);
        if let Some(Err(_)) = confirmed {
            let lost = crate::write::Refusal::LockLost { address: command.writes[0].address.clone() };
            return Err(Not::Judged(Box::new(Judged::Refused(Box::new(lost))), known));
        }
    }
    let (floor, epochs) = (Vector::default(), kept.epochs.clone());
    let moves = match judge(command, write_id, Ground { known: &known, guard: None, floor: &floor, epochs: &epochs }) {
        Judged::Take(moves) => moves,
        judged => return Err(Not::Judged(Box::new(judged), known)),
    };
    let shard = command.writes[0].address.shard();
    let first = kept.shards[shard.index()].position + 1;
    let mut take = Take { at: 0, epoch: kept.epoch, shard, first, editions: Vec::new(), cached: false, fence: None };
    take.fence = holder.map(|holder| (holder.scope.clone(), holder.number));
    for (one, seq) in moves.iter().zip(first..) {
        let edition = Edition { seq, previous: one.expected, ..one.edition.clone() };
        take.editions.push((one.address.clone(), edition.clone()));
        kept.store(shard, &one.address, edition);
        kept.shards[shard.index()].position = seq;
    }
    shared.history.lock().take(take);
    Ok(moves.iter().map(|one| (&one.edition).into()).collect())
}

fn before(kept: &Kept, command: &Command, write_id: Uuid) -> Option<Vec<Earlier>> {
    let find = |address: &Address| {
        let rows = kept.rows.values().filter(|(at, edition)| at == address && edition.writer.write_id == write_id);
        rows.map(|(_, edition)| Earlier { note: Kept::note(edition), stored: true }).next()
    };
    command.writes.iter().map(|write| find(&write.address)).collect()
}

impl Decider for InStore {
    fn get<'d>(&'d self, addresses: &'d [Address]) -> Answer<'d, Vec<Option<Arc<Edition>>>> {
        async move {
            let found = self.0.transact(false, |kept| {
                let decides = kept.who == Who::Store;
                decides.then(|| addresses.iter().map(|address| kept.newest.get(address).cloned()).collect())
            });
            found.await?.ok_or(Failed::Elsewhere)
        }
        .boxed()
    }

    fn write<'d>(&'d self, command: &'d Command, holder: Option<&'d Holder>) -> Answer<'d, Written> {
        Self::write(self, command, holder).boxed()
    }

    fn list(&self, query: PageQuery) -> Answer<'_, Page> {
        async move {
            let page = self.0.transact(false, |kept| (kept.who == Who::Store).then(|| kept.page(&query)));
            page.await?.ok_or(Failed::Elsewhere)
        }
        .boxed()
    }

    fn sync<'d>(&'d self, _partition: &'d Partition) -> Answer<'d, ()> {
        async { Ok(()) }.boxed()
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>> {
        async move { Ok(self.0.history(query).await?.into_iter().map(Arc::new).collect()) }.boxed()
    }

    fn edition_at<'d>(&'d self, _address: &'d Address, _vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>> {
        async { Ok(None) }.boxed()
    }

    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes> {
        async move { Ok(self.0.changes(query).await?) }.boxed()
    }

    fn news(&self, _shard: ShardId) -> watch::Receiver<Seq> {
        watch::channel(0).1
    }

    fn expired(&self, _now: Micros, _most: usize) -> Answer<'_, Vec<(Address, Vector)>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()> {
        async move {
            let confirmed = self.0.transact(true, |kept| {
                (kept.who == Who::Store).then(|| kept.confirm_fence(kept.epoch, holder, None)).flatten()
            });
            match confirmed.await? {
                None => Err(Failed::Elsewhere),
                Some(Ok(_)) => Ok(()),
                Some(Err(standing)) => Err(Failed::Fenced(standing)),
            }
        }
        .boxed()
    }

    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()> {
        async move {
            let raised = self.0.transact(true, |kept| {
                (kept.who == Who::Store).then(|| kept.raise_fence(kept.epoch, scope, number)).flatten()
            });
            raised.await?.map(drop).ok_or(Failed::Elsewhere)
        }
        .boxed()
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
