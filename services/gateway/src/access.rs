//! Who may do what: keys say who somebody is, the table of roles says what they may call.

mod door;
mod roles;

pub(crate) use door::Door;
pub(crate) use holdfast_rpc::keys::{Identity, Key, Keys};
#[cfg(test)]
pub(crate) use roles::access;
