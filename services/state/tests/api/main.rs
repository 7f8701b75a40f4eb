//! The state service over real gRPC, on ports of the tests' own.

mod batches;
mod counter;
mod durability;
mod fences;
mod gate;
mod harness;
mod history;
mod home;
mod input;
mod lists;
mod lives;
mod locks;
mod repeats;
mod restores;
mod shared;
mod slow_pages;
mod stale;
mod tenants;
mod trouble;
mod ttl;
mod upkeep;
mod versions;
mod watch;
