//! The services under measurement: real processes, of the build that ships.

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, MeshBuilder, Postgres, Redis};
use tonic::{Request, metadata::MetadataValue};

/// The caller's key, so that authentication is part of what is measured.
const KEY: &str = "bench-key-of-one-run";

/// Agents for the lifecycle, tools and models on the simulator for the proxies.
const CONFIG: &str = include_str!("../bench.toml");

/// A mesh with these services and no others, on the embedded stores.
pub(crate) async fn start(wanted: &[Peer]) -> Mesh {
    start_on(None, wanted).await
}

/// The same, which sends its spans to a collector.
pub(crate) async fn start_traced(collector: &str, wanted: &[Peer]) -> Mesh {
    builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector).only(wanted).start().await
}

/// A mesh with these services on a PostgreSQL, where there is one.
pub(crate) async fn start_on(postgres: Option<&Postgres>, wanted: &[Peer]) -> Mesh {
    let mut builder = builder();
    if let Some(postgres) = postgres {
        builder = builder.env("HOLDFAST_DATABASE__URL", postgres.url());
    }
    builder.only(wanted).start().await
}

/// The same on a PostgreSQL with a Redis before it.
pub(crate) async fn start_with(postgres: &Postgres, redis: &Redis, wanted: &[Peer]) -> Mesh {
    let builder = builder().env("HOLDFAST_DATABASE__URL", postgres.url()).env("HOLDFAST_REDIS__URL", redis.url());
    builder.only(wanted).start().await
}

fn builder() -> MeshBuilder {
    Mesh::builder().config(CONFIG).env("HOLDFAST_BENCH_KEY", KEY).env("HOLDFAST_TELEMETRY__LOG", "warn")
}

/// A call with the caller's key.
pub(crate) fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer bench-key-of-one-run"));
    request
}
