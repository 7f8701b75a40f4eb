//! Callers of models, and the simulated provider's own account of their calls: what the proofs on model calls share.

mod account;
mod caller;

pub use account::{Account, Clock, calls, counts, until};
pub use caller::{Answered, Ask, Caller, key_of, prompt};
