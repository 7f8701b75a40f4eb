//! A background duty: what becomes due by itself. Leases and graces that run out, deadlines, and delays that are over.
//! It sleeps until the next of them and is woken when an earlier one comes up; it never polls.

use holdfast_rpc::service::Stop;

use crate::queue::Queue;

/// Runs until the queue stops.
pub async fn run(queue: Queue, stop: Stop) {
    loop {
        let next = queue.reap();
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = queue.rearmed() => {}
            () = sleep => {}
        }
    }
}
