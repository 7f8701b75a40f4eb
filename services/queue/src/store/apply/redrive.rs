//! Letting ended invocations run again.

use super::super::{NotRedriven, Redrive, Redriven};
use super::{Revived, Row, Tables};
use crate::domain::invocation::Status;

pub(super) fn redrive<T: Tables>(tables: &mut T, redrive: &Redrive) -> Result<Redriven, T::Error> {
    if let Some(tenant) = &redrive.tenant
        && !tables.belongs_to(redrive.id, tenant)?
    {
        return Ok(Redriven::Refused(NotRedriven::Unknown));
    }
    if let Some(Row { at, live }) = tables.live(redrive.id)? {
        let status = if live.lease().is_some() { Status::Leased } else { Status::Queued };
        let done = live.redrives > 0 && was_done(tables, redrive, at.seq)?;
        return Ok(if done { Redriven::Before } else { Redriven::Refused(NotRedriven::Is(status)) });
    }
    let Some((seq, ended)) = tables.ended(redrive.id)? else {
        return Ok(Redriven::Refused(NotRedriven::Unknown));
    };
    if was_done(tables, redrive, seq)? {
        return Ok(Redriven::Before);
    }
    let status = ended.outcome.status();
    let past = tables.past_ends(redrive.id, seq)?;
    let live = ended.redriven(&tables.tries(redrive.id, seq)?, &past, redrive.ready_at);
    let Some(live) = live.filter(|_| redrive.statuses.contains(&status)) else {
        return Ok(Redriven::Refused(NotRedriven::Is(status)));
    };
    let Revived { accepted, place, ready } = tables.revive(redrive, seq, &ended, &live)?;
    Ok(Redriven::Now { accepted, seq, place, ready })
}

fn was_done<T: Tables>(tables: &mut T, redrive: &Redrive, seq: i64) -> Result<bool, T::Error> {
    Ok(tables.past_ends(redrive.id, seq)?.iter().any(|past| past.redrive == redrive.redrive))
}
