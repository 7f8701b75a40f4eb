//! What workers tell while they work.

use super::super::{Change, Gone, Settle, Settlement, Tell};
use super::settle::settle;
use super::{Row, Tables};

pub(super) fn tell<T: Tables>(tables: &mut T, tell: &Tell) -> Result<Result<u64, Gone>, T::Error> {
    let held = tables.live(tell.id)?.and_then(|Row { at, live }| Some((at, live.reported(tell.lease).ok()?)));
    let Some((at, live)) = held else { return why_not(tables, tell).map(Err) };
    tables.tell(&at, &live, tell)?;
    Ok(Ok(live.events))
}

/// A release that cannot take effect says why; it changes nothing, for the lease is not in force.
fn why_not<T: Tables>(tables: &mut T, tell: &Tell) -> Result<Gone, T::Error> {
    let probe = Settle { id: tell.id, now: tell.now, change: Change::Release { lease: tell.lease } };
    Ok(match settle(tables, &probe)? {
        Settlement::Refused(gone) => gone,
        Settlement::Now { .. } | Settlement::Before { .. } => Gone::LeaseLost,
    })
}
