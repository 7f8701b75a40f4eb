//! One transaction of a lane: locks shards, loads what its orders are decided by, decides, and stores what they leave.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use holdfast_storage::{Applied, Class, Ledger, Trouble, Witness, Wrote};
use sqlx::PgConnection;

use super::{
    known::Known,
    news::News,
    notes::Notes,
    order::{Answer, Order},
    set::Set,
};
use crate::{
    domain::{Address, Edition, EpochId, Precondition, Seq, ShardId},
    store::{
        FenceScope,
        postgres::{
            deciding::{Deciding, Who},
            tables::{self, Advance, Keep, Lock, ShardRow},
        },
    },
};

/// How long a patient lane waits for one shard before it looks at the others again.
const WAIT: &str = "SET LOCAL lock_timeout = '100ms'";
const WAIT_NO_MORE: &str = "SET LOCAL lock_timeout TO DEFAULT";
const BEGIN_ANEW: &str = "ROLLBACK AND CHAIN";

/// Keeps nothing in memory but where the transaction in hand leaves its shards, and what others may be told of it then.
pub(super) struct LaneLedger {
    pub(super) known: Arc<Known>,
    pub(super) news: Arc<News>,
    /// Waits for the shard of its oldest order where all are locked by others.
    pub(super) patient: bool,
    pub(super) advanced: Vec<(ShardId, Seq)>,
    pub(super) notes: Arc<Notes>,
    /// What it had in hand.
    pub(super) seen: Vec<(EpochId, ShardId, Arc<Edition>)>,
    #[cfg(feature = "planted-faults")]
    pub(super) faults: Arc<crate::faults::FaultPlan>,
}

impl Ledger for LaneLedger {
    type Command = Order;
    type Answer = Answer;

    fn size(order: &Order) -> usize {
        order.command.bytes()
    }

    async fn apply(&mut self, tx: &mut PgConnection, orders: &[Order], _: Witness) -> Result<Applied<Answer>, Trouble> {
        self.advanced.clear();
        self.seen.clear();
        let known = self.known.get();
        let (mut set, stale) = self.lock(tx, &known, orders).await?;
        let locked = |order: &&Order| order.shard().is_some_and(|shard| set.has(shard));
        let mine: Vec<_> = orders.iter().filter(locked).collect();
        load(tx, &mut set, &mine).await?;
        let decide = |order: &Order| match order.shard() {
            Some(shard) if stale.contains(&shard) => Answer::Stale(Arc::clone(&known)),
            _ => set.decide(order),
        };
        let answers = orders.iter().map(decide).collect();
        self.seen.extend(set.in_hand().map(|(epoch, shard, edition)| (epoch, shard, Arc::clone(edition))));
        let advances: Vec<_> = set.advances().map(|(shard, from, to)| Advance { shard, from, to }).collect();
        if advances.is_empty() {
            return Ok(Applied { answers, wrote: Wrote::Nothing });
        }
        tables::store(tx, set.changes(), &advances).await?;
        self.advanced.extend(advances.iter().map(|advance| (advance.shard, advance.to)));
        Ok(Applied { answers, wrote: Wrote::Rows })
    }

    fn committed(&mut self) {
        for (shard, position) in self.advanced.drain(..) {
            self.news.rise(shard, position);
        }
        for (epoch, shard, edition) in self.seen.drain(..) {
            self.notes.keep(epoch, shard, &edition);
        }
    }

    fn rolled_back(&mut self) {
        self.advanced.clear();
        self.seen.clear();
    }
}

impl LaneLedger {
    /// The shards that this transaction has, and those of which something else is known than stands in their rows.
    async fn lock(
        &self,
        tx: &mut PgConnection,
        known: &Deciding,
        orders: &[Order],
    ) -> Result<(Set, HashSet<ShardId>), Trouble> {
        let wanted: BTreeSet<_> = orders.iter().filter_map(Order::shard).collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let mut rows = tables::lock_shards(tx, &wanted, Lock::Skip).await?;
        if rows.is_empty() && self.patient {
            rows = wait_for(tx, orders.first().and_then(Order::shard)).await?;
        }
        let (mut set, mut stale) = (Set::default(), HashSet::new());
        #[cfg(feature = "planted-faults")]
        set.be_careless(self.faults.version_check_skipped());
        for row in rows {
            if holds(known, &row) {
                set.put_shard(row.shard, Arc::clone(&known.epochs), row.floor, row.position);
            } else {
                stale.insert(row.shard);
            }
        }
        Ok((set, stale))
    }
}

/// Whether this process decides about a shard by what it knows.
fn holds(known: &Deciding, row: &ShardRow) -> bool {
    row.same_server
        && known.who == Who::Postgres
        && row.who == known.who.decides()
        && (row.epoch, row.folds) == (known.epoch, known.folds)
}

/// Waits for one shard, for a while: nothing is locked yet that others could wait for.
async fn wait_for(tx: &mut PgConnection, shard: Option<ShardId>) -> Result<Vec<ShardRow>, Trouble> {
    let Some(shard) = shard else { return Ok(Vec::new()) };
    sqlx::raw_sql(WAIT).execute(&mut *tx).await?;
    match tables::lock_shards(tx, &[shard], Lock::Wait).await {
        Ok(rows) => {
            sqlx::raw_sql(WAIT_NO_MORE).execute(tx).await?;
            Ok(rows)
        }
        Err(Trouble::Failed(failure)) if failure.class() == Class::Busy => {
            sqlx::raw_sql(BEGIN_ANEW).execute(tx).await?;
            Ok(Vec::new())
        }
        Err(trouble) => Err(trouble),
    }
}

/// Everything that the orders of locked shards are decided by.
async fn load(tx: &mut PgConnection, set: &mut Set, orders: &[&Order]) -> Result<(), Trouble> {
    let mut addresses: HashSet<&Address> = HashSet::new();
    let mut scopes: HashSet<&FenceScope> = HashSet::new();
    let mut blind = HashSet::new();
    for order in orders {
        addresses.extend(order.command.writes.iter().map(|write| &write.address));
        addresses.extend(order.command.guard.iter().map(|guard| &guard.address));
        scopes.extend(order.holder.iter().map(|holder| &holder.scope));
        let writes = order.command.writes.iter().filter(|write| write.precondition == Precondition::Overwrite);
        blind.extend(writes.flat_map(|write| order.command.write_id.map(|id| (&write.address, id))));
    }
    if addresses.is_empty() {
        return Ok(());
    }
    let addresses: Vec<_> = addresses.into_iter().cloned().collect();
    let editions = tables::load(tx, &addresses).await?;
    addresses.into_iter().zip(editions).for_each(|(address, edition)| set.put_record(address, edition));
    if !scopes.is_empty() {
        let scopes: Vec<_> = scopes.into_iter().cloned().collect();
        let (tried, floor) = tables::try_fences(tx, &scopes, Keep::Share).await?;
        set.put_fence_floor(floor);
        scopes.into_iter().zip(tried).for_each(|(scope, tried)| set.put_fence(scope, tried));
    }
    if !blind.is_empty() {
        let blind: Vec<_> = blind.into_iter().map(|(address, id)| (address.clone(), id)).collect();
        let notes = tables::blind_writes(tx, &blind).await?;
        for ((address, _), note) in blind.into_iter().zip(notes) {
            note.into_iter().for_each(|note| set.put_blind(address.clone(), note));
        }
    }
    Ok(())
}
