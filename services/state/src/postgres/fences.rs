//! Registering and raising fences: one lane of its own, so that no write waits for it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_storage::{Applied, Class, Failure, Ledger, Trouble, Witness, Wrote};
use sqlx::PgConnection;

use super::{PAUSE, Postgres, known::Known, lane::Seat};
use crate::{
    domain::{Fence, Standing, fence::standing},
    failed::Failed,
    store::{
        FenceChange, FenceScope, Unstored,
        postgres::{
            deciding::{Deciding, Who},
            tables::{self, Keep, Tried},
        },
    },
    write::Holder,
};

/// How long a fence is waited for that another transaction holds.
const PATIENCE: Duration = Duration::from_secs(15);

/// A change that is wanted.
#[derive(Debug, Clone)]
pub(super) enum FenceOrder {
    /// A lease's fence is to count.
    Register(Arc<Holder>),
    /// Every lease up to a fence is to end.
    Raise(FenceScope, u64),
}

/// What became of it.
#[derive(Debug, Clone)]
pub(super) enum FenceAnswer {
    /// It is so.
    Done,
    /// A newer one counts.
    Refused(Standing),
    /// Another transaction holds the fence.
    Skipped,
    /// Who decides is not as was known.
    Stale(Arc<Deciding>),
}

impl FenceOrder {
    fn change(&self) -> FenceChange {
        let (scope, number, lease) = match self {
            Self::Register(holder) => (&holder.scope, holder.number, Some(Arc::clone(&holder.lease))),
            Self::Raise(scope, number) => (scope, *number, None),
        };
        FenceChange { scope: scope.clone(), fence: Fence { number, lease } }
    }

    fn judge(&self, fence: Option<&Fence>, floor: u64) -> FenceAnswer {
        let Self::Register(holder) = self else { return FenceAnswer::Done };
        match standing(fence, floor, holder.number, &holder.lease) {
            Standing::Holds => FenceAnswer::Done,
            refused => FenceAnswer::Refused(refused),
        }
    }
}

/// Keeps nothing in memory.
pub(super) struct FenceLedger(pub(super) Arc<Known>);

impl Ledger for FenceLedger {
    type Command = FenceOrder;
    type Answer = FenceAnswer;

    async fn apply(
        &mut self,
        tx: &mut PgConnection,
        orders: &[FenceOrder],
        _: Witness,
    ) -> Result<Applied<FenceAnswer>, Trouble> {
        let known = self.0.get();
        let decides = match known.who {
            Who::Postgres => tables::share_decider(tx, &known).await?,
            Who::Redis { .. } => false,
        };
        if !decides {
            let answers = orders.iter().map(|_| FenceAnswer::Stale(Arc::clone(&known))).collect();
            return Ok(Applied { answers, wrote: Wrote::Nothing });
        }
        let changes: Vec<_> = orders.iter().map(FenceOrder::change).collect();
        let mut stand = hold(tx, &changes).await?;
        let free = |change: &&FenceChange| stand.get(&key(&change.scope)) != Some(&Tried::Busy);
        let mine: Vec<_> = changes.iter().filter(free).cloned().collect();
        tables::write_fences(tx, &mine).await?;
        // As they stand then, and stay until the commit.
        let scopes: Vec<_> = mine.into_iter().map(|change| change.scope).collect();
        let found = tables::share_fences(tx, &scopes).await?;
        for (scope, fence) in scopes.iter().zip(found.fences) {
            stand.insert(key(scope), Tried::Here(fence));
        }
        let answers = orders.iter().zip(&changes).map(|(order, change)| match stand.get(&key(&change.scope)) {
            Some(Tried::Here(fence)) => order.judge(fence.as_ref(), found.floor),
            Some(Tried::Busy) | None => FenceAnswer::Skipped,
        });
        Ok(Applied { answers: answers.collect(), wrote: Wrote::Rows })
    }
}

fn key(scope: &FenceScope) -> (Arc<str>, Arc<str>) {
    (Arc::clone(&scope.tenant), Arc::clone(&scope.name))
}

type Stand = BTreeMap<(Arc<str>, Arc<str>), Tried>;

/// Holds what nobody else holds.
async fn hold(tx: &mut PgConnection, changes: &[FenceChange]) -> Result<Stand, Trouble> {
    let scopes: BTreeMap<_, _> = changes.iter().map(|change| (key(&change.scope), change.scope.clone())).collect();
    let (keys, scopes): (Vec<_>, Vec<_>) = scopes.into_iter().unzip();
    let (tried, _) = tables::try_fences(tx, &scopes, Keep::Hold).await?;
    Ok(keys.into_iter().zip(tried).collect())
}

impl Postgres {
    /// Makes a lease's fence the one that counts in its scope, durably. A fence that counts already is only looked at.
    pub(super) async fn settle_registration(&self, holder: &Holder) -> Result<(), Failed> {
        let registered = match self.standing(holder).await {
            Ok(Standing::Holds) => Ok(()),
            Ok(Standing::Newer) => self.settle_fence(FenceOrder::Register(Arc::new(holder.clone()))).await,
            Ok(refused) => Err(Failed::Fenced(refused)),
            Err(failed) => Err(failed),
        };
        if let Err(Failed::Fenced(_)) = &registered {
            self.metrics.fence_refusals.increment(1);
        }
        registered
    }

    /// Ends every lease of a scope up to a fence, durably.
    pub(super) async fn settle_raise(&self, scope: &FenceScope, number: u64) -> Result<(), Failed> {
        self.settle_fence(FenceOrder::Raise(scope.clone(), number)).await
    }

    /// The write has not been decided, whatever becomes of the fence.
    pub(super) async fn register_for_write(&self, holder: Option<&Holder>) -> Result<(), Failed> {
        let Some(holder) = holder else { return Ok(()) };
        match self.settle_fence(FenceOrder::Register(Arc::new(holder.clone()))).await {
            Err(Failed::Store(Unstored { failure, .. })) => Err(Failed::Store(Unstored { failure, in_doubt: false })),
            Err(Failed::Closed { .. }) => Err(Failed::Closed { in_doubt: false }),
            done => done,
        }
    }

    async fn settle_fence(&self, order: FenceOrder) -> Result<(), Failed> {
        let started = Instant::now();
        let seat = Seat::take(&self.window, 0)?;
        loop {
            match self.fences.ask(order.clone(), &seat).await? {
                FenceAnswer::Done => return Ok(()),
                FenceAnswer::Refused(standing) => return Err(Failed::Fenced(standing)),
                FenceAnswer::Stale(seen) => self.renew(&seen).await?,
                FenceAnswer::Skipped if started.elapsed() >= PATIENCE => {
                    let failure = Failure::new(Class::Busy, "another process holds the fence");
                    return Err(Failed::Store(Unstored { failure, in_doubt: false }));
                }
                FenceAnswer::Skipped => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
