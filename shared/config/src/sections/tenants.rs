use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Invalid, Size};

/// What is agreed with single tenants. One that is not named has every service's defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Tenants(BTreeMap<String, Tenant>);

/// What is agreed with one tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    /// Its share of capacity, beside the others'.
    pub weight: u32,
    /// What may wait of it; absent means the queue's limit for a tenant.
    pub depth_max: Option<u64>,
    /// The bytes of that.
    pub depth_bytes_max: Option<Size>,
    /// Calls in a second; absent means the gateway's limit for a tenant.
    pub rate: Option<f64>,
    /// Calls at once, before the rate holds.
    pub burst: Option<u32>,
    /// Calls in hand.
    pub concurrency: Option<u32>,
    /// Model tokens, read and written, in a day (UTC); absent means the llm-proxy's budget for a tenant.
    pub tokens_per_day: Option<u64>,
    /// Model tokens of one invocation; absent means the llm-proxy's budget for an invocation.
    pub invocation_tokens: Option<u64>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            weight: 1,
            depth_max: None,
            depth_bytes_max: None,
            rate: None,
            burst: None,
            concurrency: None,
            tokens_per_day: None,
            invocation_tokens: None,
        }
    }
}

impl Tenants {
    /// What is agreed with a tenant, where anything is.
    pub fn get(&self, tenant: &str) -> Option<&Tenant> {
        self.0.get(tenant)
    }

    /// Its share of capacity.
    pub fn weight(&self, tenant: &str) -> u32 {
        self.get(tenant).map_or(1, |tenant| tenant.weight)
    }

    /// All that are named.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tenant)> {
        self.0.iter().map(|(name, tenant)| (name.as_str(), tenant))
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for (name, tenant) in &self.0 {
            if !is_name(name) {
                let why = "cannot be a tenant's name: letters, digits, '.', '_' and '-', at most 128";
                return Err(Invalid::new(format!("tenants.{name}"), why));
            }
            let rules = [
                ((1..=1_000).contains(&tenant.weight), "weight", "must be from 1 to 1000"),
                (tenant.depth_max != Some(0), "depth_max", "must be 1 at least"),
                (tenant.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "rate", "must be more than 0"),
                (tenant.burst != Some(0), "burst", "must be 1 at least"),
                (tenant.concurrency != Some(0), "concurrency", "must be 1 at least"),
                (tenant.tokens_per_day != Some(0), "tokens_per_day", "must be 1 at least"),
                (tenant.invocation_tokens != Some(0), "invocation_tokens", "must be 1 at least"),
            ];
            if let Some((_, key, why)) = rules.into_iter().find(|(holds, ..)| !holds) {
                return Err(Invalid::new(format!("tenants.{name}.{key}"), why));
            }
        }
        Ok(())
    }
}

/// What `gateway.keys` takes for a tenant: terms under any other name would hold for nobody.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= 128 && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use crate::{Common, ConfigError, Document};

    fn parse(text: &str) -> Result<Common, ConfigError> {
        Common::from_document(&Document::parse("test", text, std::iter::empty())?)
    }

    #[test]
    fn a_tenant_has_a_weight_of_one_unless_it_says_otherwise() {
        let tenants = parse("[tenants.big]\nweight = 5\ndepth_max = 10").unwrap().tenants;
        assert_eq!((tenants.weight("big"), tenants.weight("small")), (5, 1));
        assert_eq!(tenants.get("big").and_then(|tenant| tenant.depth_max), Some(10));
    }

    #[test]
    fn an_agreement_that_cannot_hold_is_named() {
        for (text, key) in [
            ("[tenants.big]\nweight = 0", "tenants.big.weight"),
            ("[tenants.big]\nrate = 0.0", "tenants.big.rate"),
            ("[tenants.big]\nspeed = 1", "tenants.big.speed"),
            ("[tenants.big]\ntokens_per_day = 0", "tenants.big.tokens_per_day"),
            ("[tenants.big]\ninvocation_tokens = 0", "tenants.big.invocation_tokens"),
            ("[tenants.\"a b\"]\nweight = 2", "tenants.a b"),
        ] {
            assert_eq!(parse(text).unwrap_err().key.as_deref(), Some(key), "{text}");
        }
    }
}
