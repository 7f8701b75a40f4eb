//! Whether files have changed, by what the system says of them.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::SystemTime};

use holdfast_config::Document;

use crate::Config;

/// What is told apart without reading: another time, another length, another file under the same name.
type Seen = Vec<Option<(SystemTime, u64, u64)>>;

/// What was seen of the files.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// When they were last read.
    read: Seen,
    /// At the last look.
    last: Seen,
}

impl Files {
    /// True once, when they have changed and then stayed so for one look: nobody reads a file that is being written.
    pub(super) fn have_changed(&mut self, document: &Document, config: &Config) -> bool {
        let keys = config.providers.values().flat_map(|provider| &provider.keys);
        let secrets = keys.filter_map(|key| key.key.as_ref()?.path());
        let seen = document.path().map(look).into_iter().chain(secrets.map(|path| look(&path))).collect();
        self.see(seen)
    }

    /// Whether nobody writes them just now, as far as the last looks show.
    pub(super) fn are_settled(&self) -> bool {
        self.last == self.read
    }

    fn see(&mut self, seen: Seen) -> bool {
        let settled = seen == self.last;
        let changed = settled && seen != self.read;
        if changed {
            self.read.clone_from(&seen);
        }
        self.last = seen;
        changed
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled_and_only_once() {
        let state = |length: u64| vec![Some((SystemTime::UNIX_EPOCH, length, 7))];
        let mut files = Files::default();
        let told: Vec<_> = [1, 1, 1, 2, 3, 3, 3, 1, 1].map(|length| files.see(state(length))).into();
        assert_eq!(told, [false, true, false, false, false, true, false, false, true]);
    }
}
