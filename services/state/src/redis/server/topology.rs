//! Who the masters are, and which shard is at which.

use std::time::Duration;

use ::redis::Value;
use futures::future::try_join_all;
use holdfast_config::{Redis as Settings, RedisKind, RedisNode};
use holdfast_redis::Way;
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;

use super::{info::Unfit, links::Links, trouble};
use crate::{domain::ShardId, redis::keys::Keys};

/// How they are found.
#[derive(Debug)]
pub(super) struct Topology {
    way: Way,
    /// By shard.
    slots: Vec<u16>,
    /// The masters of a Cluster as they were found: they know each other when those of the URL are gone.
    known: Mutex<Vec<RedisNode>>,
}

/// The masters of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Masters {
    pub(super) nodes: Vec<RedisNode>,
    /// By shard, which of the nodes.
    route: Vec<usize>,
}

impl Masters {
    pub(super) fn of(&self, shard: ShardId) -> usize {
        self.route[shard.index()]
    }

    fn one(node: RedisNode) -> Self {
        Self { nodes: vec![node], route: ShardId::all().map(|_| 0).collect() }
    }
}

impl Topology {
    pub(super) fn new(settings: &Settings, keys: &Keys) -> Option<Self> {
        Some(Self {
            way: Way::new(settings)?,
            slots: ShardId::all().map(|shard| keys.slot(shard)).collect(),
            known: Mutex::default(),
        })
    }

    /// Finds the masters and connects to each.
    pub(super) async fn connect(&self, patience: Duration) -> Result<Links, Unfit> {
        let masters = self.masters(patience).await.map_err(Unfit::Now)?;
        let connections = masters.nodes.iter().map(|at| self.way.dial(at, patience));
        let connections = try_join_all(connections).await?;
        Links::new(masters, connections).await
    }

    /// Who the masters are now.
    pub(super) async fn masters(&self, patience: Duration) -> Result<Masters, Failure> {
        let mut last = Failure::new(Class::Io, "no Redis is named");
        let known = self.known.lock().clone();
        for at in self.way.nodes().iter().chain(&known) {
            let asked = match self.way.kind() {
                RedisKind::Single => return Ok(Masters::one(at.clone())),
                RedisKind::Sentinel { master } => self.ask_sentinel(at, master, patience).await,
                RedisKind::Cluster => self.ask_cluster(at, patience).await,
            };
            match asked {
                Ok(masters) => return Ok(masters),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, at: &RedisNode, master: &str, patience: Duration) -> Result<Masters, Failure> {
        // One that hangs must leave time for the next.
        let said = self.way.ask_sentinel(at, master, patience / 3).await;
        match said.map_err(|error| trouble::failure(&error))? {
            Some(node) => Ok(Masters::one(node)),
            None => Err(Failure::new(Class::Io, format!("the Sentinel at {at} knows no master {master:?}"))),
        }
    }

    async fn ask_cluster(&self, at: &RedisNode, patience: Duration) -> Result<Masters, Failure> {
        let mut node = self.way.dial(at, patience / 3).await.map_err(|error| trouble::failure(&error))?;
        let said: Value = ::redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut node)
            .await
            .map_err(|error| trouble::failure(&error))?;
        let ranges = ranges(said, at)
            .ok_or_else(|| Failure::new(Class::Io, format!("the Redis at {at} does not say who has which slots")))?;
        let mut masters = Masters { nodes: Vec::new(), route: Vec::new() };
        for slot in &self.slots {
            let of = ranges.iter().find(|(first, last, _)| (first..=last).contains(&slot));
            let (_, _, of) =
                of.ok_or_else(|| Failure::new(Class::Io, format!("slot {slot} of the Cluster is nobody's")))?;
            let known = masters.nodes.iter().position(|known| known == of);
            masters.route.push(known.unwrap_or_else(|| {
                masters.nodes.push(of.clone());
                masters.nodes.len() - 1
            }));
        }
        self.known.lock().clone_from(&masters.nodes);
        Ok(masters)
    }
}

/// First slot, last slot, master. A node that does not know its own name leaves it out.
fn ranges(said: Value, asked: &RedisNode) -> Option<Vec<(u16, u16, RedisNode)>> {
    let rows = said.into_sequence().ok()?.into_iter().map(|row| {
        let row = row.into_sequence().ok()?;
        let [first, last, master, ..] = &*row else { return None };
        let [host, port, ..] = master.as_sequence()? else { return None };
        let host: Option<String> = ::redis::from_redis_value_ref(host).ok()?;
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.host.clone());
        let number = |value: &Value| ::redis::from_redis_value_ref::<u16>(value).ok();
        Some((number(first)?, number(last)?, RedisNode { host, port: number(port)? }))
    });
    rows.collect()
}
