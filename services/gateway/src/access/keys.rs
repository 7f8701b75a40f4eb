//! API keys. Only their hashes are kept, and all are compared each time, so that the time taken says nothing.

use std::hint::black_box;

use holdfast_rpc::Role;
use sha2::{Digest as _, Sha256};

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tenant: String,
    pub(crate) role: Role,
    /// The key's name in logs and records.
    pub(crate) name: String,
}

/// One key, hashed.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    hash: [u8; 32],
    identity: Identity,
}

impl Key {
    pub(crate) fn new(secret: &str, identity: Identity) -> Self {
        Self { hash: hash(secret), identity }
    }
}

/// All keys of this gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// True where no key is configured: everybody on this machine is an operator then.
    pub(crate) fn are_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key this is.
    pub(crate) fn find(&self, presented: &str) -> Option<&Identity> {
        let presented = hash(presented);
        let mut found = None;
        for key in &self.0 {
            if equal(&key.hash, &presented) {
                found = Some(&key.identity);
            }
        }
        found
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(tenant: &str, role: Role) -> Identity {
        Identity { tenant: tenant.into(), role, name: format!("{tenant}-key") }
    }

    #[test]
    fn a_key_names_its_tenant_and_role_and_nothing_else_does() {
        let keys = Keys::new(vec![
            Key::new("one-one-one-one-one", identity("acme", Role::Caller)),
            Key::new("two-two-two-two-two", identity("umbrella", Role::Worker)),
        ]);
        assert_eq!(keys.find("one-one-one-one-one"), Some(&identity("acme", Role::Caller)));
        assert_eq!(keys.find("two-two-two-two-two"), Some(&identity("umbrella", Role::Worker)));
        for wrong in ["", "one-one-one-one-on", "one-one-one-one-one ", "ONE-one-one-one-one"] {
            assert_eq!(keys.find(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_hash_differs_wherever_one_bit_differs() {
        let left = hash("x");
        assert!(equal(&left, &left));
        for byte in 0..32 {
            let mut right = left;
            right[byte] ^= 1;
            assert!(!equal(&left, &right), "byte {byte}");
        }
    }
}
