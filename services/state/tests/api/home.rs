//! Where records are kept, whatever becomes of the process.

use std::{path::PathBuf, sync::Arc};

use holdfast_testkit::Postgres as Server;
use sqlx::{Connection as _, PgConnection};

/// Set, it has every test here run on a PostgreSQL: of its own (`1`), or in a database of its own at this URL.
pub(crate) const ON_POSTGRES: &str = "HOLDFAST_TEST_STATE_ON_POSTGRES";

#[derive(Clone)]
pub(crate) enum Home {
    Files(Arc<tempfile::TempDir>),
    Database(Arc<Database>),
}

pub(crate) struct Database {
    pub(crate) url: String,
    /// Where it is this test's own.
    _server: Option<Server>,
    directory: tempfile::TempDir,
}

impl Home {
    /// What is wanted of tests that do not care.
    pub(crate) async fn wanted() -> Self {
        match std::env::var(ON_POSTGRES) {
            Err(_) => Self::files(),
            Ok(url) if url.starts_with("postgres://") => Self::in_database(&url).await,
            Ok(_) => {
                let server = Server::start().await;
                Self::database(server.url(), Some(server))
            }
        }
    }

    pub(crate) fn files() -> Self {
        Self::Files(Arc::new(directory()))
    }

    /// The database of this URL.
    pub(crate) fn at(url: &str) -> Self {
        Self::database(url.to_owned(), None)
    }

    /// A database of its own at a server that tests share.
    async fn in_database(url: &str) -> Self {
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(url).await.expect("the server is there");
        let make = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(make).execute(&mut connection).await.expect("it may be made");
        let (server, _) = url.rsplit_once('/').expect("a URL with a database");
        Self::at(&format!("{server}/{name}"))
    }

    fn database(url: String, server: Option<Server>) -> Self {
        Self::Database(Arc::new(Database { url, _server: server, directory: directory() }))
    }

    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Files(directory) => directory.path().to_path_buf(),
            Self::Database(database) => database.directory.path().to_path_buf(),
        }
    }

    /// A number.
    pub(crate) async fn ask(&self, sql: &str) -> i64 {
        match self {
            Self::Files(directory) => {
                let connection = rusqlite::Connection::open(directory.path().join("state.db")).unwrap();
                connection.query_row(sql, [], |row| row.get(0)).unwrap()
            }
            Self::Database(database) => {
                let mut connection = PgConnection::connect(&database.url).await.unwrap();
                sqlx::raw_sql("SET search_path TO holdfast_state").execute(&mut connection).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.to_owned());
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory of this test's own")
}
