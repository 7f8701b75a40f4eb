//! Keeps what this process uses, and hears what the others use.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use holdfast_rpc::service::Stop;
use tokio::time::{MissedTickBehavior, interval};

use super::{Account, Ledger};

/// How far the processes' knowledge of each other, and what is kept of them, may lie behind.
const EVERY: Duration = Duration::from_secs(1);
/// Accounts in one question at once.
const AT_ONCE: usize = 16;

/// Goes on until the end of the last call, and once more then.
pub(super) async fn run(ledger: Arc<Ledger>, ended: Stop) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            _ = ticks.tick() => {}
        }
        round(&ledger).await;
    }
    round(&ledger).await;
}

/// Looks after all accounts that were used since the last time. Without any, it asks nothing.
pub(super) async fn round(ledger: &Ledger) {
    let used = ledger.book.take_used();
    stream::iter(used).for_each_concurrent(AT_ONCE, |account| look_after(ledger, account)).await;
}

async fn look_after(ledger: &Ledger, account: Arc<Account>) {
    if account.is_forgotten() {
        return;
    }
    // What is used from here on puts it on the list again.
    account.listed.store(false, Ordering::Release);
    let kept = ledger.keeper.exchange(&account).await;
    // Whatever a call settles after this look, the call was under way at it.
    let is_over = kept.is_some_and(|kept| account.budget.lock().rests_at(kept));
    if !is_over {
        ledger.book.list(&account);
    }
}
