//! Expiry: records whose time is over are deleted, by a write like any other.
//!
//! Any number of processes do this at once. Each deletes by the version that it was shown, so of several only one does it,
//! and a record that was written again in the meantime stays.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use holdfast_rpc::{service::Stop, time::now_micros};
use rand::RngExt as _;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::{
    decider::Decider,
    domain::{Address, Micros, Precondition, Vector},
    failed::Failed,
    write::{Command, Durability, Write},
};

/// Between two looks, give or take a half: several processes do not stay in step.
const TICK: Duration = Duration::from_millis(500);
/// Records that one look finds.
const BATCH: usize = 500;
/// Deletions under way at once: they share their commits.
const AT_ONCE: usize = 64;

/// Deletes what expires until it is told to stop.
pub async fn run(decider: Arc<dyn Decider>, stop: Stop) {
    let mut failing = false;
    loop {
        let pause = TICK.mul_f64(rand::rng().random_range(0.5..1.5));
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        let Some(done) = stop.run_until_cancelled(all(&decider, now_micros())).await else { return };
        if let Err(failed) = &done
            && !failing
        {
            warn!(?failed, "records whose time is over cannot be deleted");
        }
        failing = done.is_err();
    }
}

/// Deletes everything whose time is over; returns how many records that were.
///
/// # Errors
/// The stores cannot be read or written.
pub async fn all(decider: &Arc<dyn Decider>, now: Micros) -> Result<usize, Failed> {
    let mut total = 0;
    loop {
        let found = decider.expired(now, BATCH).await?;
        let whole = found.len() == BATCH;
        let deleted = delete(decider, found, now).await?;
        total += deleted;
        // Where others are quicker, the next look comes soon enough.
        if !whole || deleted == 0 {
            if total > 0 {
                debug!(records = total, "records whose time was over are deleted");
            }
            return Ok(total);
        }
    }
}

async fn delete(decider: &Arc<dyn Decider>, found: Vec<(Address, Vector)>, now: Micros) -> Result<usize, Failed> {
    let deletions = stream::iter(found).map(|(address, vector)| async move {
        let command = deletion(address, vector, now);
        match decider.write(&command, None).await {
            Ok(_) => Ok(1),
            // Another process was first, or somebody wrote it again.
            Err(Failed::Refused(_)) => Ok(0),
            Err(failed) => Err(failed),
        }
    });
    let outcomes: Vec<_> = deletions.buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().sum()
}

fn deletion(address: Address, vector: Vector, now: Micros) -> Command {
    let write = Write { address, precondition: Precondition::Version(vector), value: None, expires: None };
    Command {
        writes: vec![write],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now,
    }
}

#[cfg(test)]
mod tests;
