//! Inputs of the newest waiting invocations, so that a worker who is ready gets them without a read from the disk.

use std::sync::Arc;

use foldhash::HashMap;
use uuid::Uuid;

use crate::domain::invocation::{Accepted, Payload};

/// Bounded by bytes: what does not fit is read back from the store.
#[derive(Debug)]
pub(crate) struct Hot {
    inputs: HashMap<Uuid, (Arc<Accepted>, Payload)>,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry takes beside its payload, roughly.
const ENTRY_BYTES: usize = 512;

impl Hot {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { inputs: HashMap::default(), bytes: 0, bytes_max }
    }

    pub(crate) fn put(&mut self, accepted: &Arc<Accepted>, payload: Payload) {
        let size = ENTRY_BYTES + payload.data.len();
        if self.bytes + size <= self.bytes_max {
            self.bytes += size;
            self.inputs.insert(accepted.id, (Arc::clone(accepted), payload));
        }
    }

    pub(crate) fn take(&mut self, id: Uuid) -> Option<(Arc<Accepted>, Payload)> {
        let input = self.inputs.remove(&id)?;
        self.bytes -= ENTRY_BYTES + input.1.data.len();
        Some(input)
    }
}
