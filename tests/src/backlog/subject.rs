use std::time::Instant;

use holdfast_config::Peer;
use holdfast_proto::queue::v1::ListDepthsRequest;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_testkit::{Mesh, Postgres};
use sqlx::{Connection, Executor, PgConnection};

use super::fill;
use crate::load::{resident_mib, telling};

/// One queue with its depth.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) depth: usize,
    pub(super) filled_per_s: f64,
    mesh: Mesh,
    reader: Option<PgConnection>,
}

impl Subject {
    /// Starts a queue with a store of its own and fills it.
    pub(super) async fn start(name: &'static str, depth: usize, server: Option<&Postgres>) -> Self {
        let database = match server {
            Some(server) => Some(database(server, name).await),
            None => None,
        };
        Self::filled(name, depth, database, None).await
    }

    /// The same beside a transaction that sees the database as it was before.
    pub(super) async fn start_with_reader(name: &'static str, depth: usize, server: &Postgres) -> Self {
        let url = database(server, name).await;
        let mut reader = PgConnection::connect(&url).await.expect("PostgreSQL takes connections");
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.expect("a transaction begins");
        reader.execute("SELECT count(*) FROM pg_class").await.expect("the catalogue can be read");
        Self::filled(name, depth, Some(url), Some(reader)).await
    }

    async fn filled(name: &'static str, depth: usize, database: Option<String>, reader: Option<PgConnection>) -> Self {
        let room = depth * 2 + 100_000;
        let config = format!("[queue]\ndepth_max = {room}\n");
        let mut builder = Mesh::builder().only(&[Peer::State, Peer::Queue]).config(config);
        builder = builder.env("HOLDFAST_TELEMETRY__LOG", "warn");
        if let Some(url) = database {
            builder = builder.env("HOLDFAST_DATABASE__URL", url);
        }
        let mesh = builder.start().await;
        let begun = Instant::now();
        fill::fill(&mesh.url(Peer::Queue), depth).await;
        let seconds = begun.elapsed().as_secs_f64();
        telling(format!("{name}: {depth} wait, after {seconds:.1} s"));
        Self { name, depth, filled_per_s: depth as f64 / seconds, mesh, reader }
    }

    pub(super) fn queue(&self) -> String {
        self.mesh.url(Peer::Queue)
    }

    /// What waits, as the queue says.
    pub(super) async fn waiting(&self) -> f64 {
        let mut queue = QueueServiceClient::connect(self.queue()).await.expect("the queue listens");
        let depths = queue.list_depths(ListDepthsRequest {}).await.expect("a queue knows its depths").into_inner();
        depths.depths.iter().map(|depth| depth.queued).sum::<u64>() as f64
    }

    pub(super) fn memory_mib(&mut self) -> f64 {
        resident_mib(self.mesh.process(Peer::Queue).id()).expect("the queue runs")
    }

    /// Whether the reader, where there is one, is still in its transaction.
    pub(super) async fn reader_holds(&mut self) -> Option<bool> {
        let reader = self.reader.as_mut()?;
        let age: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT age(backend_xmin)::int8 FROM pg_stat_activity WHERE pid = pg_backend_pid()")
                .fetch_one(reader)
                .await;
        Some(matches!(age, Ok(Some(transactions)) if transactions > 0))
    }

    /// Kills the queue and starts it again; it is back when it answers.
    pub(super) async fn restart(&mut self) {
        self.mesh.kill(Peer::Queue).await;
        self.mesh.restart(Peer::Queue).await;
    }
}

async fn database(server: &Postgres, name: &str) -> String {
    server.query(&format!("CREATE DATABASE {name}")).await;
    let url = server.url();
    format!("{}/{name}", url.strip_suffix("/postgres").expect("the test's own URL"))
}
