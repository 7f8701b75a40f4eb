//! What PostgreSQL's errors mean to who asked.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::{Class, Failure};

/// Why a batch was not applied.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody else came in between: the very same batch may pass now.
    Again(Failure),
    /// The store, or what was asked.
    Failed(Failure),
}

impl Trouble {
    /// Whether the server may have done what it was asked.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.failure().class(), Class::Io | Class::Silent)
    }

    /// To be tried again where it is of this class.
    pub(super) fn again_if(self, class: Class) -> Self {
        match self {
            Self::Failed(failure) if failure.class() == class => Self::Again(failure),
            other => other,
        }
    }

    pub(super) fn failure(&self) -> &Failure {
        match self {
            Self::Again(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// What is left of trouble where nobody tries again.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Again(failure) | Trouble::Failed(failure) => failure,
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // A serialization failure, a deadlock; a division by zero, by which a statement says that its batch was decided by what
        // is not so any more.
        let again = matches!(code.as_deref(), Some("40001" | "40P01" | "22012"));
        let failure = Failure::from(error);
        if again { Self::Again(failure) } else { Self::Failed(failure) }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let class = match &error {
            // Whatever ends the session says nothing about what it did before: only an error undoes a transaction for sure.
            sqlx::Error::Database(error) if ends_session(&**error) => Class::Io,
            sqlx::Error::Database(error) => class(error.code().as_deref().unwrap_or_default()),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Class::Io
            }
            sqlx::Error::PoolTimedOut => Class::Busy,
            sqlx::Error::PoolClosed => Class::Closed,
            _ => Class::Statement,
        };
        Self::new(class, error.to_string())
    }
}

fn ends_session(error: &dyn DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

/// By the codes of PostgreSQL's appendix A.
fn class(code: &str) -> Class {
    match code {
        "53100" | "54000" => Class::Full,
        // Read-only transaction; insufficient privilege.
        "25006" | "42501" => Class::ReadOnly,
        // Deadlock, serialization, a lock or a statement that took too long, too many connections.
        "40001" | "40P01" | "55P03" | "57014" | "53300" => Class::Busy,
        "XX001" | "XX002" => Class::Corrupt,
        // Shut down, starting, gone while idle in a transaction, wrong password, no such database.
        "25P03" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "3D000" => Class::Io,
        _ => match code.get(..2) {
            // Connections; resources; the operating system; who may log in.
            Some("08" | "53" | "58" | "28") => Class::Io,
            _ => Class::Statement,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_fall_into_the_classes_that_callers_act_on() {
        for (code, expected) in [
            ("53100", Class::Full),
            ("25006", Class::ReadOnly),
            ("08006", Class::Io),
            ("57P03", Class::Io),
            ("28P01", Class::Io),
            ("53300", Class::Busy),
            ("40P01", Class::Busy),
            ("XX001", Class::Corrupt),
            ("23505", Class::Statement),
            ("22001", Class::Statement),
            ("", Class::Statement),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
    }
}
