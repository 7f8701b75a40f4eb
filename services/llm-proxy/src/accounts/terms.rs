//! Who has which budget.

use std::collections::BTreeMap;

use holdfast_config::Tenants;

use super::Owner;
use crate::{config::Budgets, llm::Who};

/// The budgets of the configuration.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Of tenants that have terms of their own.
    own: BTreeMap<String, Budgets>,
    /// Of all others.
    usual: Budgets,
}

impl Terms {
    pub(super) fn new(usual: &Budgets, tenants: &Tenants) -> Self {
        let own = tenants.iter().map(|(name, tenant)| {
            let budgets = Budgets {
                invocation_tokens: tenant.invocation_tokens.or(usual.invocation_tokens),
                tenant_tokens_per_day: tenant.tokens_per_day.or(usual.tenant_tokens_per_day),
            };
            (name.to_owned(), budgets)
        });
        Self { own: own.collect(), usual: usual.clone() }
    }

    /// Whether nobody has any.
    pub(super) fn is_empty(&self) -> bool {
        let none = |budgets: &Budgets| budgets.invocation_tokens.or(budgets.tenant_tokens_per_day).is_none();
        none(&self.usual) && self.own.values().all(none)
    }

    /// The budgets that a call counts against.
    pub(super) fn of(&self, who: &Who) -> impl Iterator<Item = (Owner, u64)> + use<> {
        let budgets = self.own.get(&who.tenant).unwrap_or(&self.usual);
        let invocation = who.invocation.as_deref().zip(budgets.invocation_tokens);
        let invocation = invocation.map(|(id, limit)| (Owner::Invocation(id.into()), limit));
        let tenant = budgets.tenant_tokens_per_day.map(|limit| (Owner::Tenant(who.tenant.as_str().into()), limit));
        invocation.into_iter().chain(tenant)
    }
}
