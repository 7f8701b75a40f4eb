//! Why a rehearsal came to nothing.

use holdfast_config::ConfigError;

/// Why a rehearsal came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario does not hold.
    #[error("{0}")]
    Scenario(#[from] ConfigError),
    /// This machine does not let it: a port, a directory, a process.
    #[error("{0}")]
    Machine(String),
    /// The mesh, or the simulator, did not do what it must before anything can be played.
    #[error("{0}")]
    Mesh(String),
    /// It was asked to end.
    #[error("interrupted: everything that was started has been ended")]
    Interrupted,
}
