#![doc = include_str!("../README.md")]

mod collector;
mod executable;
mod fault_proxy;
mod http;
mod mesh;
mod ports;
mod postgres;
mod process;
mod redis;
mod scratch;
mod server;

pub use collector::{Collector, ReceivedMetrics, ReceivedSpan};
pub use executable::{data, executable};
pub use fault_proxy::{Fault, FaultProxy};
pub use mesh::{Mesh, MeshBuilder};
pub use ports::free_range as free_ports;
pub use postgres::Postgres;
pub use process::{Process, Signal};
pub use redis::{Redis, RedisCluster, RedisSentinel};
