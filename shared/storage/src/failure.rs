//! What a disk can do to us, in the few classes that callers act on.

use std::time::Duration;

use rusqlite::ErrorCode;

/// How long until another try at a store that fails may work.
const HEALING: Duration = Duration::from_secs(1);

/// What kind of trouble the store is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No space is left, or a size limit is reached.
    Full,
    /// The files may not be written.
    ReadOnly,
    /// The disk, or the file system, answered with an error.
    Io,
    /// Somebody else held the database for too long.
    Busy,
    /// The database did not answer in time: what was asked may still happen.
    Silent,
    /// The file is not a database any more.
    Corrupt,
    /// More commands wait than the inbox takes.
    Overloaded,
    /// The store is closed.
    Closed,
    /// This one statement was refused: a constraint, a value too large, a mistake of ours.
    Statement,
}

/// A store that could not do what it was asked. It can be copied to every caller of a failed batch.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store failed ({class:?}): {message}")]
pub struct Failure {
    class: Class,
    message: String,
    in_doubt: bool,
    healing: Duration,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), in_doubt: false, healing: HEALING }
    }

    /// The same, where it is known when another try may work.
    #[must_use]
    pub fn healing_in(self, delay: Duration) -> Self {
        Self { healing: delay, ..self }
    }

    /// The same, of a write that may be found stored after all.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        Self { in_doubt: true, ..self }
    }

    /// The same, of a write that is known not to be stored.
    #[must_use]
    pub fn not_stored(self) -> Self {
        Self { in_doubt: false, ..self }
    }

    /// The kind of trouble.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether waiting mends it: everything but a refused statement and a corrupt file.
    #[must_use]
    pub fn heals(&self) -> bool {
        !matches!(self.class, Class::Statement | Class::Corrupt)
    }

    /// When to try again, where that may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.heals().then_some(self.healing)
    }

    /// Whether the store as a whole is in trouble, not just what was asked: what a circuit breaker counts.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self.class, Class::Full | Class::ReadOnly | Class::Io | Class::Busy | Class::Silent)
    }

    /// Whether the write may be found stored after all: the disk failed in the middle of a commit.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.in_doubt
    }

    /// Whether the connection is not to be trusted with another transaction.
    pub(crate) fn spoils_connection(&self) -> bool {
        matches!(self.class, Class::Io | Class::Corrupt | Class::ReadOnly)
    }

    /// The same failure, met while committing.
    pub(crate) fn while_committing(mut self) -> Self {
        self.in_doubt = self.class == Class::Io;
        self
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let class = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Class::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
                Class::ReadOnly
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => Class::Io,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Class::Busy
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Class::Corrupt,
            _ => Class::Statement,
        };
        Self::new(class, error.to_string())
    }
}
