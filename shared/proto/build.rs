//! Compiles `proto/` with protox, a compiler in Rust: the machine needs no protoc.

use std::path::{Path, PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // From the package's folder, in which this runs.
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = [
        "holdfast/gateway/v1/gateway.proto",
        "holdfast/queue/v1/invocation.proto",
        "holdfast/queue/v1/queue.proto",
        "holdfast/state/v1/state.proto",
        "holdfast/tool/v1/tool.proto",
        "holdfast/llm/v1/llm.proto",
    ];
    let descriptors = protox::compile(files, [root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    // Payloads are handed from socket to store and back without a copy.
    config.bytes([".holdfast"]);
    // The one large answer of a stream of small ones: each takes as much room as the largest.
    config.boxed(".holdfast.queue.v1.EnqueueStreamResponse.Answer.answer.ended");
    // Error details travel as google.protobuf.Any and need their names.
    config.enable_type_names();
    tonic_prost_build::configure().codec_path("crate::codec::Codec").compile_fds_with_config(descriptors, config)?;
    Ok(())
}
