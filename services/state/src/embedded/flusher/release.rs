//! What follows a flush, on the runtime: visibility, then the answers.

use std::sync::{Arc, mpsc as blocking};

use tokio::sync::{mpsc, watch};

use super::Decks;
use crate::{
    domain::ShardId,
    embedded::fences::{Fences, Pending},
    store::Unstored,
};

/// What became of one flush, for the task that tells those who wait.
pub(super) enum Outcome {
    Stored(Receipt),
    Failed { receipt: Receipt, unstored: Unstored, undone: blocking::SyncSender<bool> },
    InDoubt { shards: Vec<ShardId>, unstored: Unstored },
}

/// What a flush had in hand.
pub(super) struct Receipt {
    pub(super) shards: Vec<(ShardId, usize)>,
    pub(super) fences: Vec<Pending>,
    pub(super) flushes: u64,
}

/// Tells those who wait, from the runtime: one message for each flush instead of a wake-up of the runtime for each waiter.
pub(super) async fn release(
    decks: Arc<Decks>,
    mut finished: mpsc::UnboundedReceiver<Outcome>,
    released: watch::Sender<u64>,
) {
    while let Some(outcome) = finished.recv().await {
        match outcome {
            Outcome::Stored(receipt) => {
                for (shard, entries) in receipt.shards {
                    decks.shards[shard.index()].release(entries);
                }
                decks.fences.release(receipt.fences);
                released.send_replace(receipt.flushes);
            }
            Outcome::InDoubt { shards, unstored } => {
                shards.iter().for_each(|shard| decks.shards[shard.index()].doubt(&unstored));
            }
            Outcome::Failed { receipt, unstored, undone } => {
                let mut stays = false;
                for (shard, _) in receipt.shards {
                    if decks.shards[shard.index()].roll_back(&unstored) {
                        stays = true;
                        decks.shared.bell.ring(shard);
                    }
                }
                Fences::refuse(receipt.fences, &unstored);
                // Without the flusher nothing follows that could stand on what is undone.
                let _ = undone.send(stays);
            }
        }
    }
}
