//! A whole worker: it answers every `echo` invocation with its input, and does the work of each only once.
use holdfast_sdk::{Context, Error, Json, Worker};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::var("HOLDFAST_ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:7070".into());
    let key = std::env::var("HOLDFAST_API_KEY").unwrap_or_default();
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Worker::new(address)
        .api_key(key)
        .agent("echo", |ctx: Context, input: Json| async move {
            ctx.step("echo", || async { Ok(serde_json::json!({ "echo": input })) }).await
        })
        .run(stop)
        .await
}
