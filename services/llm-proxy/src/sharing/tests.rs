//! Several processes and one ledger: a plain model of it, the script in a real Redis, and time that the tests make.

mod model;
mod promises;
mod random;
mod script;
mod simulation;
mod world;
