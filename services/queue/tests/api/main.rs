//! The queue's promises, over real gRPC on a port of the system's choice.

mod attempts;
mod calls;
mod cancel;
mod deadlines;
mod drain;
mod enqueue;
mod fences;
mod harness;
mod lease;
mod lists;
mod metrics;
mod redrive;
mod restart;
mod retention;
mod sessions;
mod shared;
mod state;
mod tenants;
mod unread;
mod watch;
mod work;
mod worker;
