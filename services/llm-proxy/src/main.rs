//! The llm-proxy as a process of its own.

#[global_allocator]
static ALLOCATOR: holdfast_rpc::service::Allocator = holdfast_rpc::service::Allocator;

fn main() -> std::process::ExitCode {
    holdfast_rpc::service::main(holdfast_config::Peer::LlmProxy, holdfast_llm_proxy::serve)
}
