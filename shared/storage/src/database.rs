//! One SQLite file, opened the same way everywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{Error as MigrationError, MigrationDefinitionError, Migrations};

use crate::{DirectoryLock, Failure};

/// Older versions can lose a commit when a reader resets the WAL (fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;
/// How long a connection waits for another one's lock; only start-up ever meets one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the log (16 MiB) that the commit which finds them copies into the database: what was written over and over in
/// between is copied once, and fewer commits wait for it.
const CHECKPOINT_PAGES: i64 = 4_000;
/// What a connection keeps of the file in memory. The system has the rest: a miss is a copy, and no read from the disk.
const CACHE_KIB: i64 = 8 * 1024;
/// Prepared statements kept by each connection: more than any store of ours has.
const CACHED_STATEMENTS: usize = 128;

/// Why a store cannot be opened, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on these files.
    #[error("{path} is held by another process: stop it, or choose another data directory", path = path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error("the data directory {path} cannot be written: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file cannot be opened.
    #[error("the database {path} cannot be opened: {failure}", path = path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        failure: Failure,
    },
    /// The file was written by a newer version of this program.
    #[error("the database {path} was written by a newer version: start that version, or choose another data directory", path = path.display())]
    TooNew {
        /// The database file.
        path: PathBuf,
    },
    /// The tables cannot be brought up to date.
    #[error("the tables of {path} cannot be brought up to date: {message}", path = path.display())]
    Migration {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// What names the database server is no URL.
    #[error("the database's URL cannot be used: {message}")]
    Url {
        /// What is wrong with it.
        message: String,
    },
    /// The database server does not take us.
    #[error("the database at {server} cannot be used: {failure}")]
    Server {
        /// Host, port and database.
        server: String,
        /// What it says.
        failure: Failure,
    },
    /// The tables on a server were made by a newer version of this program.
    #[error("the schema {schema} at {server} was written by a newer version: start that version")]
    NewerSchema {
        /// Host, port and database.
        server: String,
        /// The schema.
        schema: String,
    },
    /// The tables on a server cannot be brought up to date.
    #[error("the schema {schema} at {server} cannot be brought up to date: {message}")]
    Schema {
        /// Host, port and database.
        server: String,
        /// The schema.
        schema: String,
        /// What went wrong.
        message: String,
    },
    /// The system gives no thread.
    #[error("the thread {name} cannot be started: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// This program was built with a SQLite that loses data.
    #[error("SQLite {version} is too old: 3.51.3 is the first that keeps every commit in WAL mode")]
    OldSqlite {
        /// The version that is linked.
        version: &'static str,
    },
}

/// A database file that this process alone uses. Clones share the lock.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
    _lock: Arc<DirectoryLock>,
}

impl Database {
    /// Locks `<directory>/<name>.lock`, opens `<directory>/<name>.db` and brings its tables up to date.
    ///
    /// # Errors
    /// Each [`OpenError`] names the path that it is about.
    pub fn open(directory: &Path, name: &str, migrations: &Migrations<'_>) -> Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::OldSqlite { version: rusqlite::version() });
        }
        let lock = DirectoryLock::take(directory, name)?;
        let database = Self { path: directory.join(format!("{name}.db")), _lock: Arc::new(lock) };
        let mut connection =
            database.writer().map_err(|failure| OpenError::File { path: database.path.clone(), failure })?;
        migrations.to_latest(&mut connection).map_err(|error| database.migration_error(&error))?;
        Ok(database)
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that writes: WAL, every commit on disk before it returns.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn writer(&self) -> Result<Connection, Failure> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // After a burst the log shrinks back to this at the next checkpoint.
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        Ok(connection)
    }

    /// A connection that cannot write, and never checkpoints.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reader(&self) -> Result<Connection, Failure> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(connection)
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, Failure> {
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // Negative means KiB.
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(connection)
    }

    fn migration_error(&self, error: &MigrationError) -> OpenError {
        let path = self.path.clone();
        match error {
            MigrationError::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
                OpenError::TooNew { path }
            }
            other => OpenError::Migration { path, message: other.to_string() },
        }
    }
}
