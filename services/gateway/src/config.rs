//! `[gateway]`, the names of `[agents.*]`, and what is agreed with `[tenants.*]`.

mod section;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_config::{ConfigError, Document, Invalid, Size, Tenants};
use holdfast_rpc::Role;
use holdfast_rpc::service::Settings;
use holdfast_rpc::web::is_host;
use serde::de::IgnoredAny;

use crate::access::{Identity, Key, Keys};
use crate::admission::{Admission, Agreed, Room};
use crate::allowance::Account;
use crate::link::Limits;
use crate::outflow::Outflow;
use crate::submission::{Agents, is_agent_name};

use section::{AgentsSetting, KeySetting, Section};

/// Shorter keys could be guessed.
const KEY_BYTES_MIN: usize = 16;
/// Larger payloads belong into a store of their own, with a reference in the payload.
const PAYLOAD_MAX: Size = Size::from_mib(64);

/// The gateway's settings.
#[derive(Clone, Debug)]
pub struct Config {
    gateway: Section,
    declared_agents: BTreeSet<String>,
    tenants: Tenants,
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let agents: BTreeMap<String, IgnoredAny> = document.section("agents")?;
        let config = Self {
            gateway: document.section("gateway")?,
            declared_agents: agents.into_keys().collect(),
            tenants: document.section("tenants")?,
        };
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.gateway.address
    }
}

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        let section = &self.gateway;
        check_keys(&section.keys)?;
        if let Some(name) = section.extra_agents.iter().find(|name| !is_agent_name(name)) {
            return Err(Invalid::new("gateway.extra_agents", format!("{name:?} cannot be an agent's name")));
        }
        if section.payload_max > PAYLOAD_MAX || section.payload_max.bytes() == 0 {
            return Err(Invalid::new(
                "gateway.payload_max",
                format!("must be at least one byte and at most {PAYLOAD_MAX}"),
            ));
        }
        let bytes = [("bytes_max", Some(section.bytes_max)), ("tenant_bytes_max", section.tenant_bytes_max)];
        let too_few = |max: Option<Size>| max.is_some_and(|max| max.bytes() < section.request_bytes_max());
        if let Some((key, _)) = bytes.iter().find(|(_, max)| too_few(*max)) {
            let why = "must hold the largest request: gateway.payload_max and 256 KiB beside it";
            return Err(Invalid::new(format!("gateway.{key}"), why));
        }
        for (key, web) in [("gateway.mcp.hosts", &section.mcp), ("gateway.openai.hosts", &section.openai)] {
            if let Some(host) = web.hosts.iter().find(|host| !is_host(host)) {
                return Err(Invalid::new(key, format!("{host:?} is no host: write it as NAME or NAME:PORT")));
            }
        }
        check_room(section)?;
        Agreed::validate(section.tenant_rate(), &self.tenants)?;
        let spans = [
            ("connect_within", section.connect_within),
            ("answer_within", section.answer_within),
            ("slow_max", section.slow_max),
        ];
        for (key, span) in spans {
            if span.is_zero() {
                return Err(Invalid::new(format!("gateway.{key}"), "must be longer than nothing"));
            }
        }
        Ok(())
    }

    /// Largest payload that is taken.
    pub fn payload_max(&self) -> Size {
        self.gateway.payload_max
    }

    /// The same in bytes.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.gateway.payload_max.bytes()
    }

    /// The largest request that is read.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.gateway.request_bytes_max()
    }

    pub(crate) fn keys(&self) -> Keys {
        let key = |setting: &KeySetting| {
            let identity = Identity { tenant: setting.tenant.clone(), role: setting.role, name: setting.name.clone() };
            Key::new(setting.key.reveal(), identity)
        };
        Keys::new(self.gateway.keys.iter().map(key).collect())
    }

    pub(crate) fn agents(&self) -> Agents {
        let declared: BTreeSet<String> = self.declared_agents.union(&self.gateway.extra_agents).cloned().collect();
        match self.gateway.agents {
            Some(AgentsSetting::Declared) => Agents::Declared(declared),
            Some(AgentsSetting::Any) => Agents::Any,
            // Where nothing is declared, all work is for workers that bring their own types.
            None if declared.is_empty() => Agents::Any,
            None => Agents::Declared(declared),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            calls_max: self.gateway.calls_max,
            waits_max: self.gateway.waiting_max,
            bytes_max: self.gateway.bytes_max.bytes(),
            message_calls_max: 512,
            message_bytes: 1 << 20,
            resend_within: *self.gateway.resend_within,
        }
    }

    /// Calls in hand at once, whatever they are.
    pub(crate) fn calls_max(&self) -> usize {
        self.gateway.calls_max
    }

    /// The desk at which calls get in.
    pub(crate) fn admission(&self) -> Admission {
        let room = Room { waits_max: self.gateway.waiting_max, workers_max: self.gateway.workers_max() };
        Admission::new(room, Agreed::new(self.gateway.terms(), &self.tenants))
    }

    /// Bytes of requests that are being read.
    pub(crate) fn reading(&self) -> Arc<Account> {
        Account::new(self.gateway.bytes_max.bytes())
    }

    /// What readers may leave unread.
    pub(crate) fn outflow(&self) -> Outflow {
        let (one, all) = (self.gateway.unread_max.bytes(), self.gateway.unread_bytes_max.bytes());
        Outflow::new(one, all, self.slow_max())
    }

    /// How long a reader may take nothing.
    pub(crate) fn slow_max(&self) -> std::time::Duration {
        *self.gateway.slow_max
    }

    /// Hosts that MCP clients may mean, beside the names of this machine.
    pub(crate) fn mcp_hosts(&self) -> &[String] {
        &self.gateway.mcp.hosts
    }

    /// Hosts that clients of OpenAI's API may mean, beside the names of this machine.
    pub(crate) fn openai_hosts(&self) -> &[String] {
        &self.gateway.openai.hosts
    }

    /// How long a stream to the queue may take to open.
    pub(crate) fn connect_within(&self) -> std::time::Duration {
        *self.gateway.connect_within
    }

    /// How long the queue may be silent while calls wait for it.
    pub(crate) fn answer_within(&self) -> std::time::Duration {
        *self.gateway.answer_within
    }
}

/// Limits on numbers of calls, against each other.
fn check_room(section: &Section) -> Result<(), Invalid> {
    let invalid = |key: &str, why: &str| Err(Invalid::new(format!("gateway.{key}"), why));
    if section.calls_max == 0 {
        return invalid("calls_max", "must be at least 1");
    }
    if section.waiting_max == 0 {
        return invalid("waiting_max", "must be at least 1");
    }
    if section.waiting_max.saturating_add(section.workers_max()) >= section.calls_max {
        let key = if section.workers_max.is_some() { "workers_max" } else { "waiting_max" };
        return invalid(key, "leaves no room: waiting_max and workers_max together must be less than calls_max");
    }
    if !section.tenant_rate.is_finite() || section.tenant_rate < 0.0 {
        return invalid("tenant_rate", "must be calls in a second, or 0 for no limit");
    }
    if section.tenant_burst > 0 && section.tenant_rate().is_none() {
        return invalid("tenant_burst", "does nothing without gateway.tenant_rate");
    }
    let of_a_tenant = [
        ("tenant_concurrency", section.tenant_concurrency, "calls_max", section.calls_max),
        ("tenant_waiting_max", section.tenant_waiting_max, "waiting_max", section.waiting_max),
        ("tenant_workers_max", section.tenant_workers_max, "workers_max", section.workers_max()),
        ("tenant_leased_max", section.tenant_leased_max, "calls_max", section.calls_max),
    ];
    for (key, part, all, max) in of_a_tenant {
        if part.is_some_and(|part| part == 0 || part > max) {
            return invalid(key, &format!("must be at least 1 and at most gateway.{all}"));
        }
    }
    if section.tenant_bytes_max.is_some_and(|part| part > section.bytes_max) {
        return invalid("tenant_bytes_max", "must be at most gateway.bytes_max");
    }
    if section.unread_max.bytes() == 0 || section.unread_bytes_max < section.unread_max {
        return invalid("unread_max", "must be at least one byte and at most gateway.unread_bytes_max");
    }
    let unread = section.unread_max..=section.unread_bytes_max;
    if section.tenant_unread_bytes_max.is_some_and(|part| !unread.contains(&part)) {
        return invalid("tenant_unread_bytes_max", "must be from gateway.unread_max to gateway.unread_bytes_max");
    }
    Ok(())
}

fn check_keys(keys: &[KeySetting]) -> Result<(), Invalid> {
    let invalid = |why: String| Err(Invalid::new("gateway.keys", why));
    for (index, setting) in keys.iter().enumerate() {
        let name = &setting.name;
        if !is_agent_name(name) || !is_agent_name(&setting.tenant) {
            return invalid(format!("{name:?}: name and tenant are letters, digits, '.', '_' and '-', at most 128"));
        }
        if setting.role == Role::Mesh {
            return invalid(format!("{name}: role is caller, worker or operator; the mesh has its own credential"));
        }
        let bytes = setting.key.reveal().len();
        if bytes < KEY_BYTES_MIN || !setting.key.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = format!("at least {KEY_BYTES_MIN} visible ASCII characters without spaces");
            return invalid(format!("{name}: the key needs {rule}; make one with `openssl rand -hex 32`"));
        }
        for other in &keys[..index] {
            if other.name == *name {
                return invalid(format!("{name} is there twice"));
            }
            if other.key.reveal() == setting.key.reveal() {
                return invalid(format!("{name} and {} are the same key", other.name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
