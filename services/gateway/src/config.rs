//! `[gateway]`, and the names of `[agents.*]`.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_config::{ConfigError, Document, Invalid, Secret, Size, Span};
use holdfast_rpc::Role;
use holdfast_rpc::service::Settings;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::access::{Identity, Key, Keys};
use crate::link::Limits;
use crate::submission::{Agents, is_agent_name};

/// Shorter keys could be guessed.
const KEY_BYTES_MIN: usize = 16;
/// Larger payloads belong into a store of their own, with a reference in the payload.
const PAYLOAD_MAX: Size = Size::from_mib(64);

/// The gateway's settings.
#[derive(Clone, Debug)]
pub struct Config {
    gateway: Section,
    declared_agents: BTreeSet<String>,
}

/// `[gateway]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    address: String,
    keys: Vec<KeySetting>,
    agents: Option<AgentsSetting>,
    extra_agents: BTreeSet<String>,
    payload_max: Size,
    calls_max: usize,
    waiting_max: usize,
    bytes_max: Size,
    connect_within: Span,
    answer_within: Span,
    resend_within: Span,
}

/// One entry of `[[gateway.keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySetting {
    name: String,
    key: Secret,
    tenant: String,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AgentsSetting {
    Declared,
    Any,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7070".into(),
            keys: Vec::new(),
            agents: None,
            extra_agents: BTreeSet::new(),
            payload_max: Size::from_mib(1),
            calls_max: 20_000,
            waiting_max: 10_000,
            bytes_max: Size::from_mib(128),
            connect_within: Span::from_secs(1),
            answer_within: Span::from_secs(5),
            resend_within: Span::from_secs(5),
        }
    }
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let agents: BTreeMap<String, IgnoredAny> = document.section("agents")?;
        let config = Self { gateway: document.section("gateway")?, declared_agents: agents.into_keys().collect() };
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
        if section.bytes_max < section.payload_max {
            return Err(Invalid::new("gateway.bytes_max", "must hold at least one payload (gateway.payload_max)"));
        }
        if section.waiting_max > section.calls_max || section.calls_max == 0 {
            return Err(Invalid::new(
                "gateway.waiting_max",
                "must not be more than gateway.calls_max, which is at least 1",
            ));
        }
        for (key, span) in [("connect_within", section.connect_within), ("answer_within", section.answer_within)] {
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

    /// How long a stream to the queue may take to open.
    pub(crate) fn connect_within(&self) -> std::time::Duration {
        *self.gateway.connect_within
    }

    /// How long the queue may be silent while calls wait for it.
    pub(crate) fn answer_within(&self) -> std::time::Duration {
        *self.gateway.answer_within
    }
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
