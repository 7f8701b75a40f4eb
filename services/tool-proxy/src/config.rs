//! `[tool_proxy]` and `[tools.NAME]`, parsed once and checked against each other.

mod tool;
mod validate;

use std::collections::BTreeMap;

use holdfast_config::{ConfigError, Document, Invalid, Size, Span};
use holdfast_rpc::service::Settings;
use serde::Deserialize;

pub use self::tool::{Breaker, Fallback, Method, Tool};

/// The service's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[tool_proxy]`
    pub tool_proxy: ToolProxy,
    /// `[tools.NAME]`
    pub tools: BTreeMap<String, Tool>,
}

/// `[tool_proxy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolProxy {
    /// Where it listens.
    pub address: String,
    /// The largest arguments of a call.
    pub arguments_bytes_max: Size,
    /// Retries of calls that may be repeated, as a share of each tool's calls in percent.
    pub retry_percent: u32,
    /// What each tool's last good answers may take in memory.
    pub last_good_bytes_max: Size,
    /// How long one question to the state service may take.
    pub state_timeout: Span,
    /// How long a known result is carried to the state service before it is given up.
    pub record_for: Span,
}

impl Default for ToolProxy {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7073".into(),
            arguments_bytes_max: Size::from_kib(256),
            retry_percent: 10,
            last_good_bytes_max: Size::from_mib(8),
            state_timeout: Span::from_secs(5),
            record_for: Span::from_secs(60),
        }
    }
}

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate::config(self)
    }
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config = Self { tool_proxy: document.section("tool_proxy")?, tools: document.section("tools")? };
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.tool_proxy.address
    }
}
