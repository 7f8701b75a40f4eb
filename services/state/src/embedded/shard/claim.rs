//! Claims on write ids. A blind overwrite, or a write that makes a deleted record anew, shows by nothing but its id that it
//! was taken before. So its first copy claims the id before it looks into the history and keeps it until it is stored;
//! a second copy waits for that.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Shard;

/// Who waits for which id.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<Uuid, Vec<oneshot::Sender<()>>>);

impl Claims {
    /// Takes the claim, or waits for its end.
    pub(super) fn take(&mut self, write_id: Uuid) -> Result<(), oneshot::Receiver<()>> {
        match self.0.get_mut(&write_id) {
            None => {
                self.0.insert(write_id, Vec::new());
                Ok(())
            }
            Some(waiters) => {
                let (waiter, released) = oneshot::channel();
                waiters.push(waiter);
                Err(released)
            }
        }
    }

    /// Ends a claim. Whoever waits looks again.
    pub(super) fn release(&mut self, write_id: Uuid) {
        for waiter in self.0.remove(&write_id).unwrap_or_default() {
            // A caller that went away needs no answer.
            let _ = waiter.send(());
        }
    }
}

/// A claim in the hands of a call; it ends with it, unless its write takes it into the log.
#[derive(Debug)]
pub struct Claim {
    shard: Arc<Shard>,
    write_id: Uuid,
    in_log: bool,
}

impl Claim {
    pub(super) fn new(shard: Arc<Shard>, write_id: Uuid) -> Self {
        Self { shard, write_id, in_log: false }
    }

    /// The write's entry in the log keeps it from now on.
    pub(super) fn hand_over(mut self) -> Uuid {
        self.in_log = true;
        self.write_id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.in_log {
            self.shard.lock().claims.release(self.write_id);
        }
    }
}
