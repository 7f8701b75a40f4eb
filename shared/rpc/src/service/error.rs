use std::{error::Error as StdError, io, path::PathBuf};

use holdfast_config::ConfigError;

/// Why a service did not start, or broke. Every sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting does not hold.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; stop what uses it, or set another address")]
    Bind {
        /// As configured.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A non-loopback address without what keeps strangers out.
    #[error(
        "refusing to listen on {address}, which is not loopback, without {missing}; add it, or listen on 127.0.0.1"
    )]
    Insecure {
        /// As configured.
        address: String,
        /// What is missing.
        missing: &'static str,
    },
    /// The certificate or its key cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be used: {why}; choose another with data.dir or --data")]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Telemetry could not be set up.
    #[error("{0}")]
    Telemetry(#[from] holdfast_telemetry::TelemetryError),
    /// The system refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Anything else, by its own words.
    #[error("{0}")]
    Other(#[from] Box<dyn StdError + Send + Sync>),
}

impl ServeError {
    /// Any other error.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// 2 for what the user wrote, 3 for what the system refused.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Insecure { .. } | Self::Tls(_) | Self::Telemetry(_) => 2,
            _ => 3,
        }
    }
}

impl From<crate::Error> for ServeError {
    fn from(error: crate::Error) -> Self {
        Self::Other(error.into())
    }
}
