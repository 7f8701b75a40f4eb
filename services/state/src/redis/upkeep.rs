//! What a process does of its own accord about shards: stores what a dead process has left, at once where CACHED writes may
//! be among it, else in its turn; and clears the marks of those at rest.

use std::{collections::HashMap, sync::Arc, time::Duration};

use holdfast_rpc::service::Stop;
use tokio::time::sleep;
use tracing::debug;

use super::{
    archive::Deciding,
    engine::{Engine, Halt},
};
use crate::domain::{EpochId, SHARDS, Seq, ShardId};

/// Shards that are tended each time though they are clean: what waits there was promised to nobody.
const CLEAN_AT_ONCE: usize = 4;

/// Since when shards are where they are.
type Rests = HashMap<(EpochId, ShardId), (Seq, Duration)>;

/// Until it is told to stop.
pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut rests = Rests::new();
    let mut turns = (0..SHARDS).step_by(CLEAN_AT_ONCE).cycle();
    while stop.run_until_cancelled(sleep(engine.settings.renew)).await.is_some() {
        let Some(deciding) = engine.lease.current().filter(|deciding| Engine::in_place(deciding)) else { continue };
        rests.retain(|(epoch, _), _| *epoch == deciding.epoch);
        let (mut writes, mut bytes) = (0, 0);
        let turn = turns.next().unwrap_or_default();
        let in_turn = ShardId::all().skip(turn).take(CLEAN_AT_ONCE);
        let clean = in_turn.filter(|shard| !Engine::is_dirty(&deciding, *shard));
        for shard in Engine::dirty_shards(&deciding).chain(clean) {
            let tended = stop.run_until_cancelled(engine.tend(&deciding, shard, &mut rests)).await;
            let Some(tended) = tended else { return };
            if let Ok(dirty) = tended {
                (writes, bytes) = (writes + dirty.0, bytes + dirty.1);
            }
        }
        engine.tally.calls.dirty_writes.set(writes as f64);
        engine.tally.calls.dirty_bytes.set(bytes as f64);
    }
}

impl Engine {
    /// One shard; answers what of its CACHED writes is not stored.
    async fn tend(&self, deciding: &Deciding, shard: ShardId, rests: &mut Rests) -> Result<(u64, u64), Halt> {
        let epoch = deciding.epoch;
        let halted = |trouble| self.halted(epoch, trouble);
        let standing = self.place.standing(shard, epoch).await.map_err(halted)?;
        let now = self.lease.now();
        let (rested_at, since) = *rests.entry((epoch, shard)).or_insert((standing.decided, now));
        if standing.decided != rested_at {
            rests.insert((epoch, shard), (standing.decided, now));
        } else if standing.stored < standing.decided {
            // Who decided it may be dead.
            self.lanes.ring(shard);
        } else if Self::is_dirty(deciding, shard) && now.saturating_sub(since) >= self.settings.idle {
            self.clean(epoch, shard, standing.stored).await?;
        }
        Ok(standing.dirty)
    }

    /// Clears a mark: in the place first, so that no CACHED write is taken from here on, then in the store, where nothing may
    /// have been stored meanwhile.
    async fn clean(&self, epoch: EpochId, shard: ShardId, at: Seq) -> Result<(), Halt> {
        let disarmed = self.place.arm(shard, epoch, at, None).await;
        if disarmed.map_err(|trouble| self.halted(epoch, trouble))? {
            let cleaned = self.archive.clean(epoch, shard, at).await?;
            debug!(shard = shard.index(), cleaned, "a shard is at rest");
        }
        Ok(())
    }
}
