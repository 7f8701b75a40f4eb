//! How the rehearsal speaks HTTP: straight to whom it means. What it speaks to is a mesh of its own on loopback, or one that its
//! callers and workers reach by gRPC, which goes through no proxy either.

/// A client that no proxy of the environment stands before.
///
/// # Panics
/// Where the system has no entropy or no trusted roots, as with any other client.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client of nothing but defaults")
}
