use super::{Redis, says};
use crate::ports;
use crate::server::ready;

/// The slots of every Cluster.
const SLOTS: usize = 16_384;

/// A Redis Cluster of the test's own: masters alone, each with its part of the slots.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three masters, and waits until all of them know of each other.
    pub async fn start() -> Self {
        // The nodes speak to each other at a second port.
        let base = ports::free_range(6);
        let mut nodes = Vec::new();
        for port in base..base + 3 {
            let bus = (port + 3).to_string();
            let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            nodes.push(Redis::start_at(port, &settings).await);
        }
        for (index, node) in nodes.iter().enumerate() {
            let (first, last) = (index * SLOTS / nodes.len(), (index + 1) * SLOTS / nodes.len() - 1);
            let commands = [
                format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1),
                format!("CLUSTER ADDSLOTSRANGE {first} {last}"),
                format!("CLUSTER MEET 127.0.0.1 {base} {}", base + 3),
            ];
            for command in commands {
                assert_eq!(node.command(&command).await.expect("it answers"), "+OK\r\n", "{command}");
            }
        }
        for node in &mut nodes {
            let at = node.port();
            ready("cluster", &mut node.process, || async move {
                says(at, "CLUSTER INFO", "cluster_state:ok").await
                    && says(at, "CLUSTER INFO", "cluster_known_nodes:3").await
            })
            .await;
        }
        Self { nodes }
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Its nodes, in the order of their slots.
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}
