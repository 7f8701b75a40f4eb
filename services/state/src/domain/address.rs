//! Where records live, and which shard decides about them.

use std::{fmt, hash, sync::Arc};

use sha2::{Digest as _, Sha256};

/// Virtual shards: fixed, for it decides where every record is found.
pub const SHARDS: usize = 64;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// What the keys of hidden records begin with: no name has control characters.
pub const HIDDEN: char = '\u{1}';

/// The last key before those of callers.
pub const LAST_HIDDEN: &str = "\u{1f}";

/// One of the [`SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(u8);

impl ShardId {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS as u8).map(Self)
    }

    /// Its place in a list of all shards.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The shard at that place; `None` past the last.
    pub fn from_index(index: usize) -> Option<Self> {
        (index < SHARDS).then_some(Self(index as u8))
    }
}

/// A name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {why}")]
pub struct BadName {
    /// `tenant`, `namespace`, `partition` or `key`.
    pub part: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What belongs together within a tenant's namespace: an agent instance, a session, an account.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    /// `tenant NUL namespace NUL partition`: names have no control characters, so this is unambiguous.
    text: Arc<str>,
    tenant_end: u16,
    namespace_end: u16,
}

impl Partition {
    /// A partition by its names.
    ///
    /// # Errors
    /// The first name that is empty, too long, or has control characters.
    pub fn new(tenant: &str, namespace: &str, partition: &str) -> Result<Self, BadName> {
        for (part, name) in [("tenant", tenant), ("namespace", namespace), ("partition", partition)] {
            check(part, name)?;
        }
        Ok(Self {
            text: format!("{tenant}\0{namespace}\0{partition}").into(),
            tenant_end: tenant.len() as u16,
            namespace_end: (tenant.len() + 1 + namespace.len()) as u16,
        })
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        &self.text[..usize::from(self.tenant_end)]
    }

    /// The kind of its records.
    pub fn namespace(&self) -> &str {
        &self.text[usize::from(self.tenant_end) + 1..usize::from(self.namespace_end)]
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        &self.text[usize::from(self.namespace_end) + 1..]
    }

    /// The shard that decides about it. The store's layout rests on this: it must never change.
    pub fn shard(&self) -> ShardId {
        shard_of(&self.text)
    }

    /// The address of one of its records. The key is one that was checked when it first came, or a hidden one.
    pub fn record(&self, key: &str) -> Address {
        Address {
            text: format!("{}\0{key}", self.text).into(),
            tenant_end: self.tenant_end,
            namespace_end: self.namespace_end,
            partition_end: self.text.len() as u16,
        }
    }

    /// A record that is the service's own: its key begins with a control character, so no caller can name it, and every
    /// key of a caller sorts behind it.
    pub fn hidden(&self, kind: &str, name: &str) -> Address {
        self.record(&format!("{HIDDEN}{kind}{HIDDEN}{name}"))
    }

    /// Whether a record belongs to it.
    pub fn contains(&self, address: &Address) -> bool {
        address.text[..usize::from(address.partition_end)] == *self.text
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text.replace('\0', "/"))
    }
}

/// Where one record lives.
#[derive(Clone)]
pub struct Address {
    /// As a partition's, with `NUL key` behind it.
    text: Arc<str>,
    tenant_end: u16,
    namespace_end: u16,
    partition_end: u16,
}

impl Address {
    /// An address by its names.
    ///
    /// # Errors
    /// The first name that is empty, too long, or has control characters.
    pub fn new(tenant: &str, namespace: &str, partition: &str, key: &str) -> Result<Self, BadName> {
        for (part, name) in [("tenant", tenant), ("namespace", namespace), ("partition", partition), ("key", key)] {
            check(part, name)?;
        }
        let namespace_end = tenant.len() + 1 + namespace.len();
        Ok(Self {
            text: format!("{tenant}\0{namespace}\0{partition}\0{key}").into(),
            tenant_end: tenant.len() as u16,
            namespace_end: namespace_end as u16,
            partition_end: (namespace_end + 1 + partition.len()) as u16,
        })
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        &self.text[..usize::from(self.tenant_end)]
    }

    /// The kind of record.
    pub fn namespace(&self) -> &str {
        &self.text[usize::from(self.tenant_end) + 1..usize::from(self.namespace_end)]
    }

    /// What it belongs to.
    pub fn partition(&self) -> &str {
        &self.text[usize::from(self.namespace_end) + 1..usize::from(self.partition_end)]
    }

    /// The record within its partition.
    pub fn key(&self) -> &str {
        &self.text[usize::from(self.partition_end) + 1..]
    }

    /// Its partition.
    pub fn in_partition(&self) -> Partition {
        Partition {
            text: self.text[..usize::from(self.partition_end)].into(),
            tenant_end: self.tenant_end,
            namespace_end: self.namespace_end,
        }
    }

    /// Whether it is the service's own.
    pub fn is_hidden(&self) -> bool {
        self.key().starts_with(HIDDEN)
    }

    /// The shard that decides about it: its partition's.
    pub fn shard(&self) -> ShardId {
        shard_of(&self.text[..usize::from(self.partition_end)])
    }

    /// What stands for the address inside of its versions.
    pub fn tag(&self) -> [u8; 8] {
        first_bytes(&self.text)
    }

    /// All of it, as one text: `tenant NUL namespace NUL partition NUL key`.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// An address that was checked when it first came, from [`Self::as_text`].
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '\0');
        let (tenant, namespace, partition) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next()?;
        let namespace_end = tenant.len() + 1 + namespace.len();
        Some(Self {
            text: text.into(),
            tenant_end: u16::try_from(tenant.len()).ok()?,
            namespace_end: u16::try_from(namespace_end).ok()?,
            partition_end: u16::try_from(namespace_end + 1 + partition.len()).ok()?,
        })
    }

    /// Its length in memory, for the cache's bound.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Address {}

impl hash::Hash for Address {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text.replace('\0', "/"))
    }
}

fn shard_of(partition: &str) -> ShardId {
    ShardId(first_bytes(partition)[0] % SHARDS as u8)
}

fn first_bytes(text: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

fn check(part: &'static str, name: &str) -> Result<(), BadName> {
    let why = match name {
        "" => "is empty",
        name if name.len() > NAME_BYTES_MAX => "is longer than 512 bytes",
        name if name.chars().any(char::is_control) => "has control characters",
        _ => return Ok(()),
    };
    Err(BadName { part, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_in_its_parts() {
        let address = Address::new("acme", "accounts", "C-1", "balance/€").unwrap();
        let parts = (address.tenant(), address.namespace(), address.partition(), address.key());
        assert_eq!(parts, ("acme", "accounts", "C-1", "balance/€"));
        let again = Address::from_text(address.as_text()).unwrap();
        assert_eq!((again.tenant(), again.namespace(), again.partition(), again.key()), parts);
        assert!(Address::from_text("acme\0accounts\0C-1").is_none());
        let partition = Partition::new("acme", "accounts", "C-1").unwrap();
        assert_eq!((partition.tenant(), partition.namespace(), partition.name()), ("acme", "accounts", "C-1"));
        assert!(partition.contains(&address));
        assert!(!Partition::new("acme", "accounts", "C").unwrap().contains(&address));
    }

    #[test]
    fn a_partition_and_its_records_share_a_shard_that_never_changes() {
        let partition = Partition::new("acme", "accounts", "C-1").unwrap();
        for key in ["a", "b", "c"] {
            assert_eq!(Address::new("acme", "accounts", "C-1", key).unwrap().shard(), partition.shard());
        }
        assert_eq!(partition.shard().index(), 42);
    }

    #[test]
    fn bad_names_are_told_apart() {
        let long = "x".repeat(513);
        let most = "x".repeat(512);
        for (bad, why) in
            [("", "is empty"), (long.as_str(), "is longer than 512 bytes"), ("a\0b", "has control characters")]
        {
            let refused = Address::new("t", "n", bad, "k").unwrap_err();
            assert_eq!(refused, BadName { part: "partition", why });
        }
        Address::new("t", &most, &most, &most).unwrap();
    }
}
