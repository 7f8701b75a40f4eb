//! Brings back how circuits stood before this process began, and keeps how they stand now.

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::Backoff;
use holdfast_rpc::Error;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{info, warn};

use super::Known;
use super::keeper::Keeper;

/// Between tries while the state service is away: only how it stands last is kept then.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// Goes on until it is dropped. `changed` rings when a circuit has changed, or there is a new one; `recovered` is rung once
/// what was kept has been read.
pub(super) async fn run(keeper: Keeper, known: Arc<Known>, changed: Arc<Notify>, recovered: Arc<Notify>) {
    let mut failed = 0;
    loop {
        match round(&keeper, &known).await {
            Ok(()) => {
                if failed > 0 {
                    info!("how circuits stand is kept again");
                }
                failed = 0;
                recovered.notify_one();
                changed.notified().await;
            }
            Err(error) => {
                failed += 1;
                if failed == 1 {
                    warn!(%error, "how circuits stand cannot be kept");
                }
                let delay = BACKOFF.delay(failed, &mut rand::rng());
                sleep(delay).await;
            }
        }
    }
}

/// Reads what is kept of new circuits, and keeps what has changed.
pub(super) async fn round(keeper: &Keeper, known: &Known) -> Result<(), Error> {
    recover(keeper, known).await?;
    for circuit in known.all() {
        if let Some(now) = circuit.unkept() {
            keeper.keep_standing(&circuit.post.name, &now).await?;
            circuit.seat.lock().kept = Some(now.generation);
        }
    }
    Ok(())
}

async fn recover(keeper: &Keeper, known: &Known) -> Result<(), Error> {
    let new: Vec<_> = known.all().into_iter().filter(|circuit| circuit.seat.lock().kept.is_none()).collect();
    let names: Vec<&str> = new.iter().map(|circuit| &*circuit.post.name).collect();
    for (circuit, kept) in new.iter().zip(keeper.read(&names).await?) {
        if let Some(standing) = &kept.standing {
            circuit.revive(standing);
        }
        if let Some(word) = &kept.word {
            circuit.hear(word);
        }
        circuit.seat.lock().kept = Some(0);
    }
    Ok(())
}
