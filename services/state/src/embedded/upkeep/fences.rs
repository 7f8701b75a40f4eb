//! Forgets old fences. A token is refused where its fence is below one that is forgotten: it may be superseded. So what is
//! refused goes by the fences that were there, and a clock that jumps ahead and back refuses nobody for long.

use tracing::warn;

use crate::{domain::Micros, embedded::Embedded};

pub(super) async fn forget(embedded: &Embedded, horizon: Micros) {
    let horizon = u64::try_from(horizon).unwrap_or(0);
    let newest = match embedded.shelf().newest_fence_below(horizon).await {
        Ok(Some(newest)) => newest,
        Ok(None) => return,
        Err(failure) => return warn!(error = %failure, "old fences cannot be read"),
    };
    // Refused here first, forgotten in the store then: nobody finds it forgotten and takes an older token.
    let floor = embedded.decks().fences.raise_floor(newest + 1);
    if let Some(Err(failure)) = embedded.decks().chore(move |journal| journal.sweep_fences(floor)).await {
        warn!(error = %failure, "old fences cannot be forgotten");
    }
}
