//! The circuit breaker: [`Core`] decides, [`Breaker`] adds the clock, the lock and the permit.

mod core;
mod dice;
mod reason;
mod settings;
mod shared;
mod standing;
mod sync;
mod window;

pub use self::core::{Core, Outcome, Ticket};
pub use self::reason::Reason;
pub use self::settings::{CALLS_MAX, InvalidSettings, Settings, WINDOW, Window};
pub use self::shared::{Breaker, Permit};
pub use self::standing::{Mode, Refused, Snapshot, Standing, State};
