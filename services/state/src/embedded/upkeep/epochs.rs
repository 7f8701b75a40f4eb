//! Folds epochs that ended with loss once their lost versions need no answer of their own any more.

use tracing::{info, warn};

use crate::{domain::Micros, embedded::Embedded};

pub(super) async fn fold(embedded: &Embedded, horizon: Micros) {
    match embedded.fold_epochs(horizon).await {
        Ok(0) => {}
        Ok(epochs) => info!(epochs, "epochs that ended with loss are folded"),
        Err(failure) => warn!(error = %failure, "epochs cannot be folded"),
    }
}
