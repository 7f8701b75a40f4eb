//! The list that every store passes, and what several processes on one database promise.

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Waiter;
use holdfast_testkit::Postgres as Server;

use super::Postgres;
use crate::store::Answer;
use crate::store::conformance::{Port, conformance};

/// A server of a test's own; every store on it has a schema of its own.
struct Shared(Server);

type Process = Arc<Postgres<Waiter<Answer>>>;

impl Shared {
    async fn start() -> Self {
        Self(Server::start().await)
    }

    /// A process on a schema, new or not.
    async fn process(&self, schema: &str) -> Process {
        process_at(&self.0.url(), schema).await
    }

    async fn open(&self, case: &str) -> (Port, ()) {
        (self.process(case).await, ())
    }
}

async fn process_at(url: &str, schema: &str) -> Process {
    let (deliver, answer) = holdfast_storage::waiters();
    tokio::spawn(answer);
    Arc::new(Postgres::open_in(url, schema, Duration::ZERO, deliver).await.unwrap())
}

mod conforms {
    use super::{Shared, conformance};

    conformance!(together: Shared);
}

mod connections;
mod days;
mod doubt;
mod excess;
mod keys;
mod plans;
mod remembered;
mod several;
mod sharing;
mod speed;
mod standing;
mod unread;
