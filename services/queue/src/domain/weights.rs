//! Tenants' weights: their shares of the workers, and of the room to wait in.

use std::collections::HashMap;
use std::sync::Arc;

/// The weight of each tenant; one that is not named has 1. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Weights(Arc<HashMap<String, u32>>);

impl Weights {
    /// The weight of a tenant, 1 at least.
    #[must_use]
    pub fn of(&self, tenant: &str) -> u32 {
        self.0.get(tenant).copied().unwrap_or(1)
    }
}

impl<N: Into<String>> FromIterator<(N, u32)> for Weights {
    fn from_iter<I: IntoIterator<Item = (N, u32)>>(named: I) -> Self {
        Self(Arc::new(named.into_iter().map(|(tenant, weight)| (tenant.into(), weight.max(1))).collect()))
    }
}
