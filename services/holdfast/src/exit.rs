//! How a command ends: an exit code, and one error that says what to do.

use std::process::ExitCode;

use holdfast_config::ConfigError;
use holdfast_sdk::Error;
use serde_json::{Value, json};

use crate::output::{record_json, version};

/// What the exit codes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// The invocation failed, or the tool did, or a rehearsal's promise is broken.
    Failed,
    /// The command line or the configuration does not hold.
    Usage,
    /// Refused or unreachable.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
        })
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line does not hold.
    #[error("{0}")]
    Usage(String),
    /// The configuration does not hold.
    #[error("{}", listed(.0))]
    Config(Vec<ConfigError>),
    /// This machine does not let it: a port, a directory, a process.
    #[error("{0}")]
    Machine(String),
    /// Nobody answers at the gateway's address.
    #[error(
        "cannot reach the gateway at {address}: {why}; start it with `holdfast up`, or name another with --address URL"
    )]
    Unreachable { address: String, why: String },
    /// The mesh said no.
    #[error("{}", refusal(.0))]
    Refused(#[from] Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(vec![error])
    }
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) => Exit::Usage,
            Self::Machine(_) | Self::Unreachable { .. } | Self::Refused(_) => Exit::Refused,
        }
    }

    /// The same for programs.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({"message": self.to_string(), "reason": self.reason()});
        if let Self::Refused(refused) = self {
            error["retry_after_ms"] = json!(refused.retry_after().map(|span| span.as_millis() as u64));
            error["may_have_happened"] = json!(refused.may_have_happened());
            if let Some(id) = refused.invocation_id() {
                error["invocation_id"] = json!(id);
            }
        }
        match self {
            Self::Refused(Error::AlreadyExists { first_id, .. }) => error["first_id"] = json!(first_id),
            Self::Refused(Error::Conflict(conflict)) => error["current"] = record_json(&conflict.current, None),
            Self::Refused(Error::DataLoss(loss)) => error["current"] = record_json(&loss.current, None),
            _ => {}
        }
        json!({"error": error})
    }

    fn reason(&self) -> &str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::Config(_) => "CONFIGURATION",
            Self::Machine(_) => "MACHINE",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Refused(refused) => refused.reason(),
        }
    }
}

fn listed(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\n")
}

fn refusal(error: &Error) -> String {
    match error {
        Error::Denied(message) => format!("{message} (name a key with --api-key env:NAME or file:PATH)"),
        Error::Conflict(conflict) if conflict.current.revision == 0 => {
            format!("{error}: there is no such record (any more)")
        }
        Error::Conflict(conflict) => {
            let (revision, version) = (conflict.current.revision, version(&conflict.current.version));
            format!("{error}: it is at revision {revision}, version {version}")
        }
        // The queue names it in its sentence, too.
        Error::AlreadyExists { first_id: Some(first), message } if !message.contains(first.as_str()) => {
            format!("{message}: it is {first}")
        }
        Error::Busy { may_have_happened: true, message, .. }
        | Error::Unavailable { may_have_happened: true, message, .. } => {
            format!("{message}; it may have been done all the same")
        }
        other => match other.retry_after() {
            Some(span) => format!("{other}; try again in {span:?}"),
            None => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_programs_is_one_document_with_what_to_go_by() {
        let busy = Error::Busy {
            reason: "RESOURCE_EXHAUSTED".into(),
            retry_after: Some(std::time::Duration::from_millis(1_500)),
            may_have_happened: false,
            message: "full".into(),
        };
        let document = Failure::from(busy).document();
        let wanted = json!({"error": {"message": "full; try again in 1.5s", "reason": "RESOURCE_EXHAUSTED",
            "retry_after_ms": 1_500, "may_have_happened": false}});
        assert_eq!(document, wanted);
    }

    #[test]
    fn a_wait_that_ended_names_what_goes_on() {
        let invocation_id = Some("i-1".into());
        let late = Error::Deadline { may_have_happened: true, invocation_id, message: "no answer in time".into() };
        assert_eq!(Failure::from(late).document()["error"]["invocation_id"], json!("i-1"));
    }

    #[test]
    fn a_used_key_names_what_it_was_used_for() {
        let used = Error::AlreadyExists { first_id: Some("i-1".into()), message: "another payload".into() };
        let failure = Failure::from(used);
        assert_eq!(failure.document()["error"]["first_id"], json!("i-1"));
        assert_eq!(failure.to_string(), "another payload: it is i-1");
        let named = Error::AlreadyExists { first_id: Some("i-1".into()), message: "used for i-1".into() };
        assert_eq!(Failure::from(named).to_string(), "used for i-1");
    }
}
