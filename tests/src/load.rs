//! What proofs load the mesh with, and measure it by: arrivals that wait for nobody, a pool of workers whose capacity is
//! known, a raw echo to compare with, and what came out.

mod arrivals;
pub mod echo;
mod findings;
mod memory;
mod pool;
mod spread;
mod submission;

use holdfast_testkit::Postgres;

pub use arrivals::{Arrivals, Offered, offer};
pub use findings::Findings;
pub use memory::{Memory, resident_mib};
pub use pool::{Hold, Pool};
pub use spread::Spread;
pub use submission::{AGENT, Answer, Caller, Key, Outcome, configured, telling};

/// Where queues keep what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In a file of its own.
    Embedded,
    /// On a PostgreSQL, which several processes share.
    Postgres,
}

impl Store {
    /// Starts a server where one is needed.
    pub async fn server(self) -> Option<Postgres> {
        match self {
            Self::Embedded => None,
            Self::Postgres => Some(Postgres::start().await),
        }
    }
}

/// How large a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What the promise is about.
    Full,
    /// Small enough to try the proof itself, on a build that is not optimised.
    Quick,
}

impl Size {
    /// One of two values.
    pub fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}
