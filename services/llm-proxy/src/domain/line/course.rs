//! Whose turn it is among tenants that want the same thing: start-time fair queueing (P. Goyal, H. Vin, H. Cheng,
//! "Start-time Fair Queuing", SIGCOMM 1996), by tokens over weight.
//!
//! Invariants: a tenant that waits never stands before the virtual time, so nobody saves up turns; none stands further
//! behind it than [`APART_MAX`], so nobody waits for what others use without an end. What was reserved is put right once
//! it is known, to the token; what had already set its tenant back by then is made good by cheaper turns, never by more
//! than half of each.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
use crate::domain::simulation;

/// A tenant, while it is known: who comes again after it was forgotten is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TenantId(pub(super) u64);

/// Virtual time: tokens over weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Tag(pub(super) u128);

/// Parts of a token in a tag, so that weights divide it well.
const PARTS: u128 = 1 << 20;
/// What a tenant may stand apart from the virtual time, in tokens over weight: about one of the largest calls there are.
const APART_MAX: Tag = Tag((1 << 20) * PARTS);

/// One thing that tenants share.
#[derive(Debug, Default)]
pub(super) struct Course {
    now: Tag,
    accounts: BTreeMap<TenantId, Account>,
    /// Those that wait, by their turn.
    waiting: BTreeSet<(Tag, TenantId)>,
    /// Those that do not wait, and have had more than the others by now.
    ahead: BTreeSet<(Tag, TenantId)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// When its next call starts, in virtual time.
    start: Tag,
    waits: bool,
    /// What it was set back for nothing.
    credit: Tag,
    /// Virtual time when it began to wait; with what went by since because of its own calls, and what of the rest was made
    /// good. So much can it have been set back.
    since: Tag,
    own: Tag,
    made_good: Tag,
    /// When it last had a turn, by the count of turns.
    served: u64,
}

impl TenantId {
    /// Stands behind all that are known.
    pub(super) const MAX: Self = Self(u64::MAX);
}

impl Tag {
    pub(super) fn of(tokens: u64, weight: u32) -> Self {
        Self(u128::from(tokens) * PARTS / u128::from(weight.max(1)))
    }

    /// Tokens that a tenant of this weight uses from one tag to this one.
    pub(super) fn tokens_since(self, before: Self, weight: u32) -> u64 {
        let parts = self.0.saturating_sub(before.0).saturating_mul(weight.max(1).into());
        u64::try_from(parts.div_ceil(PARTS)).unwrap_or(u64::MAX)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Course {
    /// A course that goes on from another, for those of its tenants.
    pub(super) fn part(&self, tenants: impl Iterator<Item = TenantId>) -> Self {
        let mut course = Self { now: self.now, ..Self::default() };
        for tenant in tenants {
            let start = self.start_of(Some(tenant));
            course.accounts.insert(tenant, Account { start, waits: true, since: self.now, ..Account::default() });
            course.waiting.insert((start, tenant));
        }
        course
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<TenantId> {
        self.waiting.first().map(|(_, tenant)| *tenant)
    }

    /// When a tenant's next call starts, in virtual time; one that is not known starts now.
    pub(super) fn start_of(&self, tenant: Option<TenantId>) -> Tag {
        tenant
            .and_then(|tenant| self.accounts.get(&tenant))
            .map_or(self.earliest(), |account| account.start.max(self.earliest()))
    }

    /// Nobody starts before the others: who was away saved up nothing.
    fn earliest(&self) -> Tag {
        #[cfg(test)]
        if simulation::credit_for_idling() {
            return Tag::default();
        }
        self.now
    }

    /// When it last had a turn.
    pub(super) fn served(&self, tenant: Option<TenantId>) -> u64 {
        tenant.and_then(|tenant| self.accounts.get(&tenant)).map_or(0, |account| account.served)
    }

    /// Those that wait and have their turn before this one, in their order.
    pub(super) fn before(&self, turn: (Tag, TenantId)) -> impl Iterator<Item = (Tag, TenantId)> + '_ {
        self.waiting.iter().take_while(move |theirs| **theirs < turn).copied()
    }

    /// Who is known here.
    pub(super) fn tenants(&self) -> impl Iterator<Item = TenantId> + '_ {
        self.accounts.keys().copied()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn knows(&self, tenant: TenantId) -> bool {
        self.accounts.contains_key(&tenant)
    }

    /// A tenant has somebody waiting, and had nobody.
    pub(super) fn join(&mut self, tenant: TenantId) {
        let (earliest, since) = (self.earliest(), self.now);
        self.change(tenant, |account| {
            (account.start, account.waits) = (account.start.max(earliest), true);
            (account.since, account.own, account.made_good) = (since, Tag::default(), Tag::default());
        });
    }

    /// A tenant has nobody waiting any more.
    pub(super) fn leave(&mut self, tenant: TenantId) {
        self.change(tenant, |account| (account.waits, account.credit) = (false, Tag::default()));
    }

    /// A call of a tenant starts, and will cost so much.
    pub(super) fn serve(&mut self, tenant: TenantId, cost: Tag, turn: u64) {
        let begin = self.start_of(Some(tenant));
        // Where it goes before somebody whose turn it was, that one's turn stays.
        let first = self.waiting.first().map_or(begin, |(start, _)| *start);
        let before = self.now;
        self.now = before.max(begin.min(first));
        let went_by = self.now.minus(before);
        self.change(tenant, |account| {
            account.own = account.own.plus(went_by);
            let discount = account.credit.min(Tag(cost.0 / 2));
            account.credit = account.credit.minus(discount);
            account.start = begin.plus(cost.minus(discount));
            account.served = turn;
        });
    }

    /// A call was charged too much.
    pub(super) fn refund(&mut self, tenant: TenantId, amount: Tag) {
        let now = self.now;
        if self.accounts.contains_key(&tenant) {
            self.change(tenant, |account| {
                let lead = account.start.minus(now);
                account.start = account.start.minus(amount.min(lead));
                if account.waits {
                    let set_back = now.minus(account.since).minus(account.own).minus(account.made_good);
                    let amount = amount.minus(lead).min(set_back);
                    account.made_good = account.made_good.plus(amount);
                    account.credit = account.credit.plus(amount).min(APART_MAX);
                }
            });
        }
    }

    /// A call was charged too little.
    pub(super) fn charge(&mut self, tenant: TenantId, amount: Tag) {
        let most = self.now.plus(APART_MAX);
        if self.accounts.contains_key(&tenant) {
            self.change(tenant, |account| account.start = account.start.plus(amount).min(most.max(account.start)));
        }
    }

    /// Forgets those that do not wait and are even with the others. With nobody in line, nobody has had too little.
    pub(super) fn sweep(&mut self, nobody_waits: bool) -> Vec<TenantId> {
        if nobody_waits {
            self.now = self.ahead.last().map_or(self.now, |(start, _)| self.now.max(*start));
        }
        let mut forgotten = Vec::new();
        while let Some(&(start, tenant)) = self.ahead.first()
            && start <= self.now
        {
            self.ahead.pop_first();
            self.accounts.remove(&tenant);
            forgotten.push(tenant);
        }
        forgotten
    }

    fn change(&mut self, tenant: TenantId, change: impl FnOnce(&mut Account)) {
        let account = self.accounts.entry(tenant).or_default();
        let before = (account.start, tenant);
        self.waiting.remove(&before);
        self.ahead.remove(&before);
        change(account);
        let set = if account.waits { &mut self.waiting } else { &mut self.ahead };
        set.insert((account.start, tenant));
    }
}
