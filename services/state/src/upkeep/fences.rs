//! Forgets old fences: a fence is a time, so tokens that are older than what is remembered are known by themselves.

use tracing::warn;

use crate::{domain::Micros, state::State};

pub(super) async fn forget(state: &State, horizon: Micros) {
    // Refused here first, forgotten in the store then; a clock that jumps back lowers nothing.
    let floor = state.decks().fences.raise_floor(u64::try_from(horizon).unwrap_or(0));
    if let Some(Err(failure)) = state.decks().chore(move |journal| journal.sweep_fences(floor)).await {
        warn!(error = %failure, "old fences cannot be forgotten");
    }
}
