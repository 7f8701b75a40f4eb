//! Lease tokens: what the queue signs and state and the proxies check.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use holdfast_config::Common;
use prost::Message as _;
use sha2::Sha256;

use crate::Error;

/// The metadata key under which a token travels.
pub const HEADER: &str = "holdfast-lease";

/// What a lease gives: the right to act for one invocation, until a higher fence is registered in its scope. It travels as
/// a message of Protocol Buffers: one is signed, carried three times and checked for every attempt.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LeaseToken {
    /// Whose invocation it is.
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// The session; empty for a lone invocation.
    #[prost(string, tag = "2")]
    pub session: String,
    /// The invocation.
    #[prost(string, tag = "3")]
    pub invocation_id: String,
    /// The attempt, counted from 1.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
    /// The lease itself: two leases never share it.
    #[prost(string, tag = "5")]
    pub lease_id: String,
    /// Rises within the scope. Microseconds since 1970 at the least, so it tells the token's age too.
    #[prost(uint64, tag = "6")]
    pub fence: u64,
    /// The agent type that does the work; empty in a token of a queue that did not say it yet.
    #[prost(string, tag = "7")]
    pub agent: String,
}

/// Within what a fence rises: the session, or the lone invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FenceScope {
    /// All invocations of one session.
    Session(String),
    /// One invocation without a session.
    Invocation(String),
}

impl LeaseToken {
    /// Within what this token's fence rises.
    pub fn scope(&self) -> FenceScope {
        if self.session.is_empty() {
            FenceScope::Invocation(self.invocation_id.clone())
        } else {
            FenceScope::Session(self.session.clone())
        }
    }
}

/// The key that signs lease tokens (HMAC-SHA256). Queue processes share it, and it survives restarts.
#[derive(Clone)]
pub struct LeaseKey(Hmac<Sha256>);

impl std::fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseKey")
    }
}

impl LeaseKey {
    /// A key from its bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of every length"))
    }

    /// The configured key (`mesh.lease_key`), or the one in the data directory, minted there at first use.
    ///
    /// # Errors
    /// The data directory cannot be read or written.
    pub fn load(common: &Common) -> io::Result<Self> {
        match &common.mesh.lease_key {
            Some(secret) => Ok(Self::new(secret.reveal().as_bytes())),
            None => Ok(Self::new(&load_or_mint(&common.data.dir)?)),
        }
    }

    /// Signs a token.
    pub fn sign(&self, token: &LeaseToken) -> String {
        let mut text = URL_SAFE_NO_PAD.encode(token.encode_to_vec());
        let mac = self.0.clone().chain_update(text.as_bytes()).finalize().into_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        text
    }

    /// Checks a signature and reads the token.
    ///
    /// # Errors
    /// UNAUTHENTICATED where it is not one of ours.
    pub fn verify(&self, text: &str) -> Result<LeaseToken, Error> {
        let refused = || Error::unauthenticated("the lease token is not one of this mesh");
        let (claims, mac) = text.rsplit_once('.').ok_or_else(refused)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| refused())?;
        self.0.clone().chain_update(claims.as_bytes()).verify_slice(&mac).map_err(|_| refused())?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| refused())?;
        LeaseToken::decode(claims.as_slice()).map_err(|_| refused())
    }
}

/// Several services may start at once on one directory: the first link wins, and all read what it holds.
fn load_or_mint(dir: &Path) -> io::Result<Vec<u8>> {
    let path = dir.join("lease.key");
    if !path.exists() {
        fs::create_dir_all(dir)?;
        let fresh = dir.join(format!("lease.key.{}", crate::id::new()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&fresh)?;
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.write_all(&rand::random::<[u8; 32]>())?;
        file.sync_all()?;
        let linked = fs::hard_link(&fresh, &path);
        fs::remove_file(&fresh)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::File::open(dir)?.sync_all()?,
        }
    }
    fs::read(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> LeaseToken {
        LeaseToken {
            tenant: "acme".into(),
            session: String::new(),
            invocation_id: "i-1".into(),
            attempt: 2,
            lease_id: "l-1".into(),
            fence: 9,
            agent: "desk".into(),
        }
    }

    #[test]
    fn a_token_that_names_no_agent_is_read_all_the_same() {
        let (key, silent) = (LeaseKey::new(b"k"), LeaseToken { agent: String::new(), ..token() });
        assert_eq!(key.verify(&key.sign(&silent)).expect("our own"), silent);
        assert!(silent.encode_to_vec().len() < token().encode_to_vec().len(), "as it was signed before");
    }

    #[test]
    fn a_token_is_read_back_by_the_key_that_signed_it() {
        let key = LeaseKey::new(b"k");
        assert_eq!(key.verify(&key.sign(&token())).expect("our own"), token());
    }

    #[test]
    fn a_forged_token_is_refused() {
        let key = LeaseKey::new(b"k");
        let text = key.sign(&token());
        let other = LeaseToken { tenant: "other".into(), ..token() };
        let claims = LeaseKey::new(b"x").sign(&other);
        let mixed = format!("{}.{}", claims.split_once('.').unwrap().0, text.split_once('.').unwrap().1);
        for forged in [claims.as_str(), mixed.as_str(), "", "a.b", &text[..text.len() - 1]] {
            assert!(key.verify(forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn the_minted_key_is_the_same_for_all_who_start_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_mint(dir.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key == &keys[0] && key.len() == 32));
    }
}
