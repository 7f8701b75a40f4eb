//! Granting leases, and moving them between streams and processes.

use super::super::{Adopt, AdoptFrom, Claim, Claimed, KeptLease};
use super::tables::is_expired;
use super::{Row, Tables};

pub(super) fn claim<T: Tables>(tables: &mut T, claim: &Claim) -> Result<Option<Claimed>, T::Error> {
    let Some(Row { at, live }) = tables.live(claim.id)? else {
        // It has ended since it was seen there.
        claim.ready.map_or(Ok(()), |key| tables.forget_ready(key))?;
        return Ok(None);
    };
    // Seen ready before, it may have run and failed since, and wait for its time.
    if is_expired(&at, claim) || (claim.ready.is_some() && !tables.is_ready(at.id)) {
        return Ok(None);
    }
    let session_fence = match at.place {
        Some(place) => match tables.head_fence(place)? {
            Some(fence) => fence,
            None => return Ok(None),
        },
        None => 0,
    };
    let Some(live) = live.granted(&claim.grant, session_fence, claim.now) else { return Ok(None) };
    tables.grant(&at, &live)?;
    let tries = if live.tries > 0 { tables.tries(at.id, at.seq)? } else { Vec::new() };
    let past_ends = if live.redrives > 0 { tables.past_ends(at.id, at.seq)? } else { Vec::new() };
    let input = claim.with_input.then(|| tables.input(&at)).transpose()?;
    Ok(Some(Claimed { live, input, tries, past_ends }))
}

pub(super) fn adopt<T: Tables>(tables: &mut T, adopt: &Adopt) -> Result<Option<KeptLease>, T::Error> {
    let Some(Row { at, live }) = tables.live(adopt.id)? else { return Ok(None) };
    let Some(stream) = live.lease().filter(|held| held.id == adopt.lease).map(|held| held.stream) else {
        return Ok(None);
    };
    let from = match adopt.from {
        AdoptFrom::Stream(from) => from,
        AdoptFrom::Keeper(keeper) if at.keeper.is_some_and(|kept_by| kept_by != keeper) => return Ok(None),
        AdoptFrom::Keeper(_) | AdoptFrom::Anyone => stream,
    };
    match live.adopted(adopt.lease, from, adopt.to.or(stream)) {
        Ok(adopted) => tables.adopt(&at, &adopted),
        Err(_) => Ok(None),
    }
}
