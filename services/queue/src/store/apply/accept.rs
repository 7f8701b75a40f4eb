//! Accepting: once for each idempotency key.

use super::super::{Accept, Acceptance};
use super::{Created, Tables};

pub(super) fn accept<T: Tables>(tables: &mut T, accept: &Accept) -> Result<Acceptance, T::Error> {
    let accepted = &*accept.accepted;
    if let (Some(key), Some(digest)) = (&accepted.idempotency_key, &accept.digest)
        && let Some((id, same)) = tables.take_key(accepted, key, digest, accept.keys_since)?
    {
        return Ok(Acceptance::Existing { id, same });
    }
    let Created { seq, place, ready } = tables.create(accept)?;
    Ok(Acceptance::Created { seq, place, ready })
}
