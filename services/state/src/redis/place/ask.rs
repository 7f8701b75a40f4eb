//! Requests as this place makes them.

use super::{RedisPlace, reply};
use crate::{
    domain::{EpochId, Fence, ShardId},
    place::{Logged, Trouble},
    redis::{
        codec,
        keys::Part,
        scripts::{self, Script},
        server::Request,
    },
    store::FenceScope,
};

/// Copies of fences in a shard at once.
const FENCES_MAX: u64 = 1_024;

/// How long a log is kept that was found later and nobody asked for.
const SET_ASIDE_SECONDS: u64 = 7 * 24 * 3_600;

impl RedisPlace {
    pub(super) fn request<'r>(&self, script: &'static Script, shard: ShardId, epoch: EpochId) -> Request<'r> {
        Request::new(script, self.parts(script.parts, shard, epoch))
    }

    pub(super) fn parts(&self, parts: &[Part], shard: ShardId, epoch: EpochId) -> Vec<String> {
        parts.iter().map(|part| self.keys.part(shard, epoch, *part)).collect()
    }

    /// A script that names the list of the shard's epochs too, and what else there is.
    pub(super) fn across<'r>(
        &self,
        script: &'static Script,
        shard: ShardId,
        epoch: EpochId,
        others: Vec<String>,
    ) -> Request<'r> {
        let mut keys = self.parts(script.parts, shard, epoch);
        keys.push(self.keys.epochs(shard));
        keys.extend(others);
        Request::new(script, keys)
    }

    pub(super) async fn done(&self, shard: ShardId, request: Request<'_>) -> Result<(), Trouble> {
        self.server.call(shard, &request).await.map(drop)
    }

    pub(super) async fn read_log(&self, shard: ShardId, request: Request<'_>) -> Result<Vec<Logged>, Trouble> {
        let (_, rows) = self.server.call(shard, &request).await?;
        reply::log(rows)
    }

    pub(super) async fn forget(&self, shard: ShardId, epoch: EpochId, other: EpochId) -> Result<bool, Trouble> {
        let keys = self.parts(&Part::ALL, shard, other);
        let request = self.across(&scripts::FORGET, shard, epoch, keys);
        let request = request.arg(other.to_string().into_bytes()).number(SET_ASIDE_SECONDS);
        let (kept, _) = self.server.call(shard, &request).await?;
        Ok(kept != 0)
    }

    pub(super) fn fence<'r>(&self, shard: ShardId, epoch: EpochId, scope: &FenceScope, fence: &Fence) -> Request<'r> {
        let request = self.request(&scripts::FENCE, shard, epoch).arg(codec::scope(scope).into_bytes());
        request.arg(codec::pack_fence(fence)).number(FENCES_MAX)
    }
}
