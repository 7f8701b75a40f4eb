//! Where spans and metrics go, as the environment says: the services refuse to start where they cannot follow that.

use holdfast_config::ConfigError;
use holdfast_telemetry::TelemetryError;

/// The variable that cannot be followed. What it says is not told: it may be a key.
pub(super) fn problem() -> Option<ConfigError> {
    let error = holdfast_telemetry::check().err()?;
    let (origin, why) = match error {
        TelemetryError::Variable { name, why } => (name, why),
        other => ("the environment".to_owned(), other.to_string()),
    };
    Some(ConfigError { origin, line: None, key: None, why })
}
