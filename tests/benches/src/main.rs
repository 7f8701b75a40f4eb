#![doc = include_str!("../README.md")]

mod again;
mod bare_redis;
mod breaker;
mod collector;
mod cpu;
mod echo;
mod lifecycle;
mod llm_call;
mod load;
mod mesh;
mod start;
mod state_cas;
mod state_get;
mod stores;
mod tool_call;
mod worker;

use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

/// Every benchmark, in the order in which they run.
const NAMES: [&str; 7] = ["echo", "lifecycle", "state_cas", "state_get", "tool_call", "llm_call", "breaker"];

/// Figures of one benchmark, by name.
type Figures = Map<String, Value>;

fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("nothing else chose a provider");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // This executable starts itself for what must be another process. A worker has one thread, as the agent service has.
    let mut runtime = match arguments[..] {
        ["work", _] => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().expect("threads can be started");
    runtime.block_on(async {
        match arguments[..] {
            ["serve-echo", port] => echo::serve(port.parse().expect("a port")).await,
            ["serve-collector", port] => collector::serve(port.parse().expect("a port")).await,
            ["work", url] => worker::work(url.to_owned()).await,
            ref wanted => measure(wanted).await,
        }
    });
}

async fn measure(wanted: &[&str]) {
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(name)) {
        eprintln!("there is no benchmark {unknown}; there are {}", NAMES.join(", "));
        std::process::exit(2);
    }
    for name in NAMES.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        let figures = run(name).await;
        println!("{}", json!({"bench": name, "figures": figures}));
    }
}

async fn run(name: &str) -> Figures {
    match name {
        "echo" => echo::bench().await,
        "lifecycle" => lifecycle::bench().await,
        "state_cas" => state_cas::bench().await,
        "state_get" => state_get::bench().await,
        "tool_call" => tool_call::bench().await,
        "breaker" => breaker::bench().await,
        _ => llm_call::bench().await,
    }
}

/// A figure with as many digits as it deserves.
fn figure(value: f64) -> Value {
    json!((value * 1_000.0).round() / 1_000.0)
}
