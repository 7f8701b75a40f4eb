//! What one call costs: set aside before it, settled after it.

use std::{sync::Arc, time::Duration};

use holdfast_rpc::Error;
use tonic::Code;

use super::{Account, Owner, Wall, meters::Meter};
use crate::{
    domain::{Need, Reservation, Short, Spent, Usage},
    metrics,
};

/// When to come back where calls that are under way have everything set aside: some of it may be free soon.
const SOON: Duration = Duration::from_secs(1);

/// What is set aside for a call. Dropped before [`Charge::sent`], it costs nothing; after it, what it may have cost: what
/// the provider read, and what it was seen to write, or all that it might have written where nothing was seen.
#[derive(Debug)]
pub(crate) struct Charge {
    meter: Arc<Meter>,
    need: Need,
    /// Of the invocation, of the tenant.
    holds: Vec<Hold>,
    /// The request is out. Tokens seen of its answer.
    out: Option<u64>,
}

#[derive(Debug)]
struct Hold {
    account: Arc<Account>,
    /// None between a loss and the next try.
    reservation: Option<Reservation>,
    wall: Wall,
}

impl Charge {
    pub(super) fn new(meter: Arc<Meter>, need: Need) -> Self {
        Self { meter, need, holds: Vec::new(), out: None }
    }

    pub(super) fn hold(&mut self, account: Arc<Account>, wall: &Wall) -> Result<(), Error> {
        let mut hold = Hold { account, reservation: None, wall: wall.clone() };
        hold.reserve(self.need.total())?;
        self.holds.push(hold);
        Ok(())
    }

    /// The request goes out: from here on it may cost something.
    pub(crate) fn sent(&mut self) {
        self.out = Some(0);
    }

    /// The provider refused it, or never had it: it cost nothing, and may be sent again.
    pub(crate) fn unused(&mut self) {
        self.out = None;
    }

    /// So many more tokens of the answer were seen.
    pub(crate) fn saw(&mut self, output_tokens: u64) {
        if let Some(seen) = &mut self.out {
            *seen = seen.saturating_add(output_tokens);
        }
    }

    /// The request is lost, and may have cost something.
    pub(crate) fn lost(&mut self) {
        if let Some(cost) = self.cost() {
            self.out = None;
            self.meter.estimated(cost);
            self.holds.iter_mut().for_each(|hold| hold.settle(cost.total()));
        }
    }

    /// It is to be sent again: what it needs is set aside once more, where it was lost before.
    ///
    /// # Errors
    /// As [`super::Accounts::admit`].
    pub(crate) fn renew(&mut self) -> Result<(), Error> {
        let mut settled = self.holds.iter_mut().filter(|hold| hold.reservation.is_none());
        settled.try_for_each(|hold| hold.reserve(self.need.total()))
    }

    /// The call has ended: what it used by the provider's count, where that is known. `key` is the provider and its key.
    pub(crate) fn settle(mut self, usage: Option<Usage>, key: (&str, &str)) {
        match usage {
            Some(usage) => {
                self.out = None;
                self.meter.counted(usage, key);
                self.holds.iter_mut().for_each(|hold| hold.settle(usage.total()));
            }
            // Dropped.
            None => self.out = self.out.or(Some(0)),
        }
    }

    /// What a request that is out, and of which no more is heard, must be taken to have cost.
    fn cost(&self) -> Option<Usage> {
        let output_tokens = match self.out? {
            0 => self.need.output,
            seen => seen,
        };
        Some(Usage { input_tokens: self.need.input, output_tokens })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.lost();
        self.holds.iter_mut().for_each(|hold| hold.settle(0));
    }
}

impl Hold {
    fn reserve(&mut self, tokens: u64) -> Result<(), Error> {
        let (owner, now) = (&self.account.owner, self.wall.now());
        let mut budget = self.account.budget.lock();
        let reserved = budget.reserve(tokens, owner.day(now));
        let left = budget.day().left(now);
        drop(budget);
        self.reservation = Some(reserved.map_err(|spent| refusal(owner, spent, left))?);
        Ok(())
    }

    /// Once: what was settled stays so.
    fn settle(&mut self, used: u64) {
        if let Some(reservation) = self.reservation.take() {
            self.account.budget.lock().settle(reservation, used);
        }
    }
}

/// A day's budget comes back with the next day, an invocation's never: told to wait, its agent would wait for nothing.
fn refusal(owner: &Owner, spent: Spent, day_left: Duration) -> Error {
    let Spent { limit, used, needed, why } = spent;
    let (reason, whose, refill) = match owner {
        Owner::Tenant(_) => ("TENANT_BUDGET", "the tenant's budget for a day", Some(day_left)),
        Owner::Invocation(_) => ("INVOCATION_BUDGET", "the invocation's budget", None),
    };
    metrics::accounts::over_budget(reason);
    let advice = "a lower max_output_tokens needs less";
    let message = format!("{whose} is {limit} tokens; {used} are used or set aside, and this call may need {needed}");
    match (why, refill) {
        (Short::UnderWay, _) => {
            let message = format!("{message}: calls under way may leave it enough");
            Error::new(Code::ResourceExhausted, reason, message).come_back_in(SOON)
        }
        (Short::Used, Some(refill)) => {
            let message = format!("{message} ({advice}); it comes back with the next day (UTC)");
            Error::new(Code::ResourceExhausted, reason, message).come_back_in(refill)
        }
        (Short::Used, None) | (Short::Never, _) => Error::precondition(reason, format!("{message} ({advice})")),
    }
}
