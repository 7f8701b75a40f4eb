//! What calls cost: counted by model, tenant, agent and key, and held against the budgets of tenants and invocations.
//!
//! ```text
//!   admit ── no budget ───────────────────────────────► charge ── settle ─► tokens counted
//!     │                                                   ▲         │
//!     └─ budget ─► book: met before? ─ no ─► keeper: read │         ▼
//!                    └─ reserve, or refuse ───────────────┘   the budget, settled
//!                                                                   │ every second, and at the end
//!                                        keeper: read the others' ◄─┴─► write one's own   (the state service)
//! ```

mod account;
mod book;
mod charge;
mod duty;
mod keeper;
mod meters;
mod terms;

use std::{sync::Arc, time::Duration};

use holdfast_config::{Common, Peer};
use holdfast_rpc::{Channel, Error, id, service::Stop, time};
use tokio::{task::JoinSet, time::timeout};

pub(crate) use self::charge::Charge;
use self::{
    account::{Account, Owner},
    book::Book,
    keeper::Keeper,
    meters::Meters,
    terms::Terms,
};
use crate::{config::Budgets, domain::Need, llm::Who};

/// The end waits so long for what is still to be kept.
const ENDING: Duration = Duration::from_secs(3);

/// The wall clock, in microseconds since 1970: days go by it.
#[derive(Clone)]
pub(crate) struct Wall(Arc<dyn Fn() -> i64 + Send + Sync>);

/// All of it.
#[derive(Debug)]
pub(crate) struct Accounts {
    terms: Terms,
    meters: Meters,
    /// Absent where nobody has a budget.
    ledger: Option<Arc<Ledger>>,
}

/// The budgets that were met, and where they are kept.
#[derive(Debug)]
struct Ledger {
    book: Book,
    keeper: Keeper,
    wall: Wall,
}

/// What goes on while calls are made.
#[derive(Debug)]
pub(crate) struct Duty {
    tasks: JoinSet<()>,
    stop: Stop,
}

impl Accounts {
    /// As configured. Nothing is asked before the first call of somebody with a budget.
    ///
    /// # Errors
    /// There are budgets, and the state service's address is of no use.
    pub(crate) fn new(common: &Common, budgets: &Budgets) -> Result<Self, Error> {
        Self::by(Wall(Arc::new(time::now_micros)), common, budgets)
    }

    fn by(wall: Wall, common: &Common, budgets: &Budgets) -> Result<Self, Error> {
        let terms = Terms::new(budgets, &common.tenants);
        let ledger = match terms.is_empty() {
            true => None,
            false => {
                let keeper = Keeper::new(Channel::to(common, Peer::State)?, id::new());
                Some(Arc::new(Ledger { book: Book::default(), keeper, wall }))
            }
        };
        Ok(Self { terms, meters: Meters::default(), ledger })
    }

    /// Keeps what is used, and hears what others use, every second until [`Duty::end`]. Dropped, it stops where it is.
    pub(crate) fn start(&self) -> Duty {
        let (mut tasks, stop) = (JoinSet::new(), Stop::new());
        if let Some(ledger) = &self.ledger {
            tasks.spawn(duty::run(Arc::clone(ledger), stop.clone()));
        }
        Duty { tasks, stop }
    }

    /// Sets aside what a call is expected to need, before it waits for its place. Waits only for what is kept of a budget
    /// that this process has not met yet, and for a bounded time.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED or FAILED_PRECONDITION, reason `TENANT_BUDGET` or `INVOCATION_BUDGET`: there is too little left.
    pub(crate) async fn admit(&self, who: &Who, model: &str, need: Need) -> Result<Charge, Error> {
        let meter = self.meters.of(&who.tenant, who.agent.as_deref().unwrap_or_default(), model);
        let mut charge = Charge::new(meter, need);
        let Some(ledger) = &self.ledger else { return Ok(charge) };
        for (owner, limit) in self.terms.of(who) {
            let account = ledger.met(owner, limit).await;
            let held = charge.hold(Arc::clone(&account), &ledger.wall);
            ledger.book.list(&account);
            held?;
        }
        Ok(charge)
    }
}

impl Wall {
    fn now(&self) -> i64 {
        (self.0)()
    }
}

impl std::fmt::Debug for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wall")
    }
}

impl Duty {
    /// Keeps what is not kept yet, for a bounded time: the last call has ended.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        if timeout(ENDING, self.tasks.join_next()).await.is_err() {
            tracing::warn!("what was used of budgets in the last second may not be kept");
        }
    }
}

impl Ledger {
    /// The account of somebody, after what is kept of it was read, or could not be.
    async fn met(&self, owner: Owner, limit: u64) -> Arc<Account> {
        let account = self.book.open(owner, limit, self.wall.now());
        // On the heap: it is read once, and its future would be the largest part of every call's.
        account.met.get_or_init(|| Box::pin(self.keeper.meet(&account))).await;
        account
    }
}

#[cfg(test)]
mod tests;
