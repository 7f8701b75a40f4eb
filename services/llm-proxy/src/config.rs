//! What this service reads: `[llm_proxy]`, `[providers.NAME]` and `[models.NAME]`.

mod key;
mod model;
mod provider;
mod settings;
mod sharing;

use std::collections::BTreeMap;

use holdfast_config::{ConfigError, Document, Invalid, Redis};
use holdfast_rpc::{keys::Callers, service};

pub use self::{
    key::{Key, ModelLimits},
    model::{Deployment, Fallback, Model, Tokenizer},
    provider::{Breaker, Kind, Provider},
    settings::{Budgets, Settings},
    sharing::Sharing,
};

/// Everything that is configured here.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[llm_proxy]`
    pub llm_proxy: Settings,
    /// `[providers.NAME]`
    pub providers: BTreeMap<String, Provider>,
    /// `[models.NAME]`
    pub models: BTreeMap<String, Model>,
    /// Whether `[redis]` names one, over which processes share the limits.
    pub shared: bool,
    /// `[[gateway.keys]]`; none where none are configured.
    pub callers: Option<Callers>,
    /// Where all of it was read, to be read again.
    pub document: Option<Document>,
}

impl service::Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config = Self {
            llm_proxy: document.section("llm_proxy")?,
            providers: document.section("providers")?,
            models: document.section("models")?,
            shared: document.section::<Redis>("redis")?.url.is_some(),
            callers: Callers::read(document)?,
            document: Some(document.clone()),
        };
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.llm_proxy.address
    }
}

impl Config {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.llm_proxy.validate()?;
        for (name, provider) in &self.providers {
            provider.validate(name)?;
            if self.shared {
                self.llm_proxy.sharing.fits(name, &provider.keys)?;
            }
        }
        for (name, model) in &self.models {
            model.validate(name, &self.providers)?;
        }
        Ok(())
    }
}
