//! Faults that tests plant on purpose, to see that the test which guards a promise catches its breaking. Only with the
//! feature `planted-faults`, which nothing but this crate's own tests turns on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Which faults are planted.
#[derive(Debug, Default)]
pub struct FaultPlan {
    skip_version_check: AtomicBool,
}

impl FaultPlan {
    /// Takes every write as if it were a blind overwrite.
    pub fn skip_version_check(&self) {
        self.skip_version_check.store(true, Relaxed);
    }

    pub(crate) fn version_check_skipped(&self) -> bool {
        self.skip_version_check.load(Relaxed)
    }
}
