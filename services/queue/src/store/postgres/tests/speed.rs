//! How fast the writer alone is. Not a promise: run it by hand, optimised, with `--run-ignored all --no-capture`.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Shared;
use crate::domain::invocation::Accepted;
use crate::store::Command;
use crate::store::conformance::{NOW, Port, accept_command, accepted, batch, claim_command, complete, settle_command};

/// How long each shape is measured.
const SPAN: Duration = Duration::from_secs(4);

#[tokio::test]
#[ignore = "it measures time"]
async fn lifecycles_in_a_second() {
    let server = Shared::start().await;
    for (callers, size) in [(2, 32), (2, 128), (4, 64), (8, 64)] {
        let port: Port = server.process(&format!("s{callers}x{size}")).await;
        let began = Instant::now();
        let workers = (0..callers).map(|_| lifecycles(port.clone(), size, began));
        let done: usize = futures::future::join_all(workers).await.into_iter().sum();
        println!("{callers} callers of {size}: {:.0} lifecycles/s", done as f64 / began.elapsed().as_secs_f64());
    }
}

/// Accepts with a claim, and completes, what fits into the span.
async fn lifecycles(port: Port, size: usize, began: Instant) -> usize {
    let (mut done, mut running): (usize, Vec<(Uuid, Uuid)>) = (0, Vec::new());
    while began.elapsed() < SPAN {
        let mut commands: Vec<Command> =
            running.drain(..).map(|(id, lease)| settle_command(id, complete(lease))).collect();
        done += commands.len();
        for _ in 0..size {
            let one = Accepted { idempotency_key: None, ..accepted() };
            let lease = Uuid::now_v7();
            commands.push(accept_command(&one));
            commands.push(claim_command(one.id, lease, NOW));
            running.push((one.id, lease));
        }
        batch(&port, commands).await;
    }
    done
}
