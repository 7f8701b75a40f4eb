//! What other epochs left in the place.

use std::sync::Arc;

use tracing::warn;

use crate::{
    domain::{EpochId, ShardId},
    redis::{engine::Engine, flush::FLUSH_BYTES},
};

/// Writes of a log that came too late which are named one by one.
const NAMED_MAX: usize = 20;

impl Engine {
    /// Removes it, as long as this epoch is believed in; answers the epoch once all is done. A log that nobody has asked for
    /// belongs to an epoch that ended while the place was away: it comes too late, and is reported.
    pub(super) async fn clear(self: Arc<Self>, epoch: EpochId) -> Option<EpochId> {
        for shard in ShardId::all() {
            self.check(epoch).ok()?;
            for old in self.place.clear(shard, epoch).await.ok()? {
                self.report(shard, old).await?;
            }
        }
        Some(epoch)
    }

    async fn report(&self, shard: ShardId, epoch: EpochId) -> Option<()> {
        let (mut writes, mut named, mut after) = (0, Vec::new(), 0);
        loop {
            let page = self.place.set_aside(shard, epoch, after, FLUSH_BYTES).await.ok()?;
            let Some((_, last)) = page.iter().flat_map(|entry| &entry.editions).next_back() else { break };
            after = last.seq;
            for (address, edition) in page.iter().flat_map(|entry| &entry.editions) {
                writes += 1;
                if named.len() < NAMED_MAX {
                    named.push((address.clone(), edition.revision));
                }
            }
        }
        warn!(
            %epoch,
            shard = shard.index(),
            writes,
            ?named,
            "a log was found whose epoch has ended: its writes are not merged"
        );
        Some(())
    }
}
