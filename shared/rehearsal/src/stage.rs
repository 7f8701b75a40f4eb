//! Where a side is played: a mesh and the simulator behind it, whoever started them.

use holdfast_config::Mesh;

/// A mesh, and what stands for the world outside of it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The gateway's URL.
    pub gateway: String,
    /// The simulator's URL.
    pub simulator: String,
    /// What is shown to the gateway; empty shows nothing.
    pub key: String,
    /// Its services by themselves, where it is ours: who comes through a gateway is one tenant's.
    pub inside: Option<Box<Mesh>>,
}
