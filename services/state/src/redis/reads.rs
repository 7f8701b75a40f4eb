//! Reading: the place first, the store on a miss.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::Instant};

use futures::future::{BoxFuture, FutureExt as _, try_join_all};

use super::{
    archive::Deciding,
    engine::{Engine, Halt},
    fills::Filling,
    judge::Known,
    planted::Fault,
};
use crate::{
    decider::Answer,
    domain::{Address, Edition, EpochId, Seq, ShardId},
    failed::Failed,
    place::Seen,
};

/// How often a read fills what is missing again: each time, something else took its room meanwhile.
const FILLS_MAX: usize = 8;
/// When to come back to a place that has no room.
const ROOM_RETRY_AFTER: Duration = Duration::from_millis(100);

impl Engine {
    /// Answers in the place where one decides, else by the store; asks again where that has changed meanwhile.
    pub(super) async fn settle<'a, T>(
        self: &'a Arc<Self>,
        in_place: impl Fn(Arc<Deciding>) -> BoxFuture<'a, Result<T, Halt>>,
        in_store: impl Fn() -> Answer<'a, T>,
    ) -> Result<T, Failed> {
        loop {
            let deciding = self.knowledge().await?;
            let done = match Self::in_place(&deciding) {
                true => in_place(Arc::clone(&deciding)).await,
                false => self.by_store(&deciding, in_store()).await,
            };
            match done {
                Ok(answer) => return Ok(answer),
                Err(Halt::Failed(failed)) => return Err(failed),
                Err(Halt::Ended { .. }) => self.lease.want(),
            }
        }
    }

    /// What the store's own decider says. Its refusal to decide may mean that somebody else does by now.
    pub(super) async fn by_store<T>(&self, deciding: &Deciding, answer: Answer<'_, T>) -> Result<T, Halt> {
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(Failed::Elsewhere) => {
                self.heard_again(deciding.epoch).await;
                Err(Halt::Ended { in_doubt: false })
            }
            Err(Failed::Store(unstored)) if !unstored.in_doubt && self.heard_again(deciding.epoch).await => {
                Err(Halt::Ended { in_doubt: false })
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Hears again who decides; whether it is another epoch.
    pub(super) async fn heard_again(&self, epoch: EpochId) -> bool {
        let news = self.lease.news();
        self.lease.want();
        // Where nothing can be heard, nothing has changed as far as is known.
        let _ = tokio::time::timeout(self.settings.renew, news).await;
        self.lease.known().is_some_and(|known| known.epoch != epoch)
    }

    /// Records as readers see them.
    pub(super) async fn get(self: &Arc<Self>, addresses: &[Address]) -> Result<Vec<Option<Arc<Edition>>>, Failed> {
        let started = Instant::now();
        let from_place = |deciding: Arc<Deciding>| self.get_in_place(deciding.epoch, addresses).boxed();
        let found = self.settle(from_place, || self.store.get(addresses)).await;
        self.tally.calls.read(true, started.elapsed());
        found
    }

    async fn get_in_place(
        self: &Arc<Self>,
        epoch: EpochId,
        addresses: &[Address],
    ) -> Result<Vec<Option<Arc<Edition>>>, Halt> {
        let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
        for (at, address) in addresses.iter().enumerate() {
            by_shard.entry(address.shard()).or_default().push(at);
        }
        let looks = by_shard.into_iter().map(|(shard, ats)| async move {
            let wanted: Vec<_> = ats.iter().map(|at| addresses[*at].clone()).collect();
            let known = match self.look(epoch, shard, &wanted).await {
                Err(Halt::Failed(Failed::Full { .. })) => self.read_past_the_place(epoch, shard, wanted).await?,
                looked => looked?,
            };
            Ok::<_, Halt>(ats.into_iter().zip(known))
        });
        let mut found = vec![None; addresses.len()];
        for (at, known) in try_join_all(looks).await?.into_iter().flatten() {
            found[at] = match self.faults.has(Fault::EarlyVisible) {
                true => known.newest().cloned(),
                false => known.visible,
            };
        }
        Ok(found)
    }

    /// Records of one shard that do not fit into the place together: as a page is read.
    async fn read_past_the_place(
        &self,
        epoch: EpochId,
        shard: ShardId,
        wanted: Vec<Address>,
    ) -> Result<Vec<Known>, Halt> {
        self.barrier(epoch, shard).await?;
        let editions = self.shelf.editions(wanted).await?;
        let newest = editions.iter().flatten().map(|edition| edition.seq).max();
        self.shown(epoch, shard, newest.unwrap_or_default()).await?;
        Ok(editions.into_iter().map(|edition| Known { visible: edition.map(Arc::new), tip: None }).collect())
    }

    /// Records of one shard as the place has them, filled where they are missing.
    pub(super) async fn look(
        self: &Arc<Self>,
        epoch: EpochId,
        shard: ShardId,
        addresses: &[Address],
    ) -> Result<Vec<Known>, Halt> {
        for tried in 0..FILLS_MAX {
            let seen = self.place.look(shard, epoch, addresses).await;
            let seen = seen.map_err(|trouble| self.halted(epoch, trouble))?;
            self.check(epoch)?;
            let (mut known, mut missing) = (Vec::with_capacity(seen.len()), Vec::new());
            for (address, seen) in addresses.iter().zip(seen) {
                match seen {
                    Seen::Here { visible, tip } => known.push(Known { visible, tip }),
                    Seen::Missing => missing.push(address.clone()),
                }
            }
            if missing.is_empty() {
                return Ok(known);
            }
            // What is named together makes no room for each other, so the second time all are named.
            self.fill(epoch, shard, if tried == 0 { &missing } else { addresses }).await?;
        }
        Err(Failed::Full { retry_after: ROOM_RETRY_AFTER }.into())
    }

    /// Brings records into the place: what somebody reads already is waited for.
    async fn fill(self: &Arc<Self>, epoch: EpochId, shard: ShardId, missing: &[Address]) -> Result<(), Failed> {
        try_join_all(self.begin_to_fill(epoch, shard, missing)).await.map(drop)
    }

    fn begin_to_fill(self: &Arc<Self>, epoch: EpochId, shard: ShardId, missing: &[Address]) -> Vec<Filling> {
        let mut fills = self.desk(shard).fills.lock();
        let (mut waits, unread) = fills.part(missing);
        if unread.is_empty() {
            return waits;
        }
        let (engine, ours) = (Arc::clone(self), unread.clone());
        let reads = async move {
            let read = engine.read_into_place(epoch, shard, &ours).await;
            engine.desk(shard).fills.lock().end(&ours);
            match read {
                Ok(()) | Err(Halt::Ended { .. }) => Ok(()),
                Err(Halt::Failed(failed)) => Err(failed),
            }
        };
        let filling: Filling = reads.boxed().shared();
        fills.begin(&unread, &filling);
        // A task of its own, so that a caller who goes away leaves nobody waiting.
        tokio::spawn(filling.clone());
        waits.push(filling);
        waits
    }

    async fn read_into_place(&self, epoch: EpochId, shard: ShardId, addresses: &[Address]) -> Result<(), Halt> {
        let late = self.faults.has(Fault::NoTicket);
        let early = if late { None } else { Some(self.place.tickets(shard, epoch, addresses).await) };
        let editions = self.shelf.editions(addresses.to_vec()).await?;
        let tickets = match early {
            Some(tickets) => tickets,
            None => self.place.tickets(shard, epoch, addresses).await,
        };
        let tickets = tickets.map_err(|trouble| self.halted(epoch, trouble))?;
        let found = addresses.iter().zip(tickets).zip(editions);
        let found: Vec<_> =
            found.map(|((address, ticket), edition)| (address.clone(), ticket, edition.map(Arc::new))).collect();
        self.place.install(shard, epoch, &found).await.map_err(|trouble| self.halted(epoch, trouble))
    }

    /// Waits until everything that is decided in a shard is stored and visible.
    pub(super) async fn barrier(&self, epoch: EpochId, shard: ShardId) -> Result<(), Halt> {
        let standing = self.place.standing(shard, epoch).await.map_err(|trouble| self.halted(epoch, trouble))?;
        self.desk(shard).reach(epoch, standing.stored);
        if standing.decided > standing.stored {
            self.until_stored(epoch, shard, standing.decided).await?;
        }
        self.check(epoch)
    }

    /// What the store shows may not be shown by the place yet: nobody may see it before all do.
    pub(super) async fn shown(&self, epoch: EpochId, shard: ShardId, newest: Seq) -> Result<(), Halt> {
        self.until_stored(epoch, shard, newest).await?;
        self.check(epoch)
    }
}
