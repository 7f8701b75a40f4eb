//! The services under measurement: real processes of the same build profile.

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use tonic::{Request, metadata::MetadataValue};

/// The caller's key, so that authentication is part of what is measured.
const KEY: &str = "bench-key-of-one-run";

/// Agents for the lifecycle, tools and models on the simulator for the proxies.
const CONFIG: &str = include_str!("../bench.toml");

/// A mesh with these services and no others.
pub(crate) async fn start(wanted: &[Peer]) -> Mesh {
    let builder = Mesh::builder().config(CONFIG).env("HOLDFAST_BENCH_KEY", KEY).env("HOLDFAST_TELEMETRY__LOG", "warn");
    let unwanted = Peer::ALL.into_iter().filter(|peer| !wanted.contains(peer));
    unwanted.fold(builder, |builder, peer| builder.without(peer)).start().await
}

/// A call with the caller's key.
pub(crate) fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer bench-key-of-one-run"));
    request
}
