//! API keys of callers from outside. Only their hashes are kept, and all are compared each time, so that the time taken says
//! nothing.

mod callers;

use std::hint::black_box;

pub use callers::Callers;

use crate::{Role, caller};

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// For whom its owner acts.
    pub tenant: String,
    /// What its owner may do.
    pub role: Role,
    /// The key's name in logs and records.
    pub name: String,
}

/// One key, hashed.
#[derive(Clone, Debug)]
pub struct Key {
    hash: [u8; 32],
    identity: Identity,
}

impl Key {
    /// A key by its text.
    pub fn new(secret: &str, identity: Identity) -> Self {
        Self { hash: caller::digest(secret), identity }
    }
}

/// All keys that a process knows.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// These and no others.
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// True where there is no key.
    pub fn are_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key this is.
    pub fn find(&self, presented: &str) -> Option<&Identity> {
        let presented = caller::digest(presented);
        let mut found = None;
        for key in &self.0 {
            if equal(&key.hash, &presented) {
                found = Some(&key.identity);
            }
        }
        found
    }
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
        let left = caller::digest("x");
        assert!(equal(&left, &left));
        for byte in 0..32 {
            let mut right = left;
            right[byte] ^= 1;
            assert!(!equal(&left, &right), "byte {byte}");
        }
    }
}
