//! Forgets tombstones: each one's vector goes into its shard's floor, from which a record made anew counts on.

use std::collections::HashSet;

use tracing::{debug, warn};

use crate::{domain::Micros, embedded::Embedded};

/// Tombstones in one go.
const BATCH: usize = 500;

pub(super) async fn forget(embedded: &Embedded, horizon: Micros) {
    let mut seen = HashSet::new();
    loop {
        let found = match embedded.shelf().tombstones(horizon, BATCH).await {
            Ok(found) => found,
            Err(failure) => return warn!(error = %failure, "tombstones cannot be read"),
        };
        let fresh: Vec<_> = found.into_iter().filter(|address| seen.insert(address.clone())).collect();
        if fresh.is_empty() {
            return;
        }
        // Only what the cache holds is decided about.
        if let Err(failed) = embedded.read_all(&fresh).await {
            return warn!(error = ?failed, "tombstones cannot be read");
        }
        let shards = &embedded.decks().shards;
        let drops: Vec<_> =
            fresh.iter().filter_map(|address| shards[address.shard().index()].forget(address)).collect();
        let mut forgotten = 0;
        for stored in drops {
            forgotten += usize::from(matches!(stored.await, Ok(Ok(()))));
        }
        debug!(forgotten, "tombstones are forgotten");
        if forgotten == 0 {
            return;
        }
    }
}
