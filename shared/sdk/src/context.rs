//! What a handler has in hand.

mod models;
mod progress;
mod spending;
mod step;
mod tools;

use std::{sync::Arc, time::Duration};

use holdfast_proto::queue::v1::Invocation;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use spending::Spending;

pub use models::ModelStream;
pub use step::StepKey;
pub use tools::{Outcome, ToolAnswer};

use crate::{Error, Usage, calls::Caller, endpoints::Links, held::Held, state::State};

/// One attempt at one invocation, in the hands of its handler. Cheap to clone. Every call it makes carries the lease
/// token, so that it is refused once another worker has taken over; and new calls wait while the lease cannot be renewed.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: Arc<Held>,
    caller: Caller,
    links: Links,
    tool_patience: Duration,
    /// Model tokens of this invocation.
    spending: Mutex<Spending>,
    /// Events go one by one, in order.
    reporting: tokio::sync::Mutex<()>,
}

impl Context {
    pub(crate) fn new(links: &Links, held: Arc<Held>, tool_patience: Duration) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            links: links.under(&held.token)?,
            caller: Caller::Holder(held.clone()),
            held,
            tool_patience,
            spending: Mutex::default(),
            reporting: tokio::sync::Mutex::default(),
        })))
    }

    /// The invocation, as it stood when it was leased.
    pub fn invocation(&self) -> &Invocation {
        &self.0.held.invocation
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.0.held.invocation.id
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        &self.0.held.invocation.tenant
    }

    /// Which attempt this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.0.held.invocation.attempt
    }

    /// The invocation's deadline, by the monotonic clock. Calls inherit it.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.held.deadline
    }

    /// The tenant's state. Every write is refused once another worker has taken over.
    pub fn state(&self) -> State {
        State::new(self.0.links.state.clone(), self.0.caller.clone())
    }

    /// A write id that every attempt at this invocation computes alike: the write it names happens once.
    pub fn write_id(&self, name: &str) -> String {
        let digest = Sha256::new().chain_update(self.id()).chain_update([0]).chain_update(name).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }

    /// Model tokens so far, over all attempts: of earlier ones what they recorded, with their steps or at their end. (A
    /// crash forgets what was used since the last step.) Reported at the end.
    pub fn usage(&self) -> Usage {
        self.0.spending.lock().total()
    }

    /// Returns once the lease is gone. The handler is stopped by itself then; this is for what it has spawned.
    pub async fn gone(&self) {
        self.0.held.gone().await;
    }
}
