//! The llm-proxy as a process of its own.

fn main() -> std::process::ExitCode {
    holdfast_rpc::service::main(holdfast_config::Peer::LlmProxy, holdfast_llm_proxy::serve)
}
