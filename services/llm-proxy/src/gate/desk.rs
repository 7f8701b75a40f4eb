//! What the gate keeps of each key beside the pool: its name, its journal, its gauges.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::journal::{self, Journal};
use crate::{
    clock::Clock,
    domain::{KeyId, Limits, NewKey, Past, Pool},
    metrics::{Gauges, KeyGauges},
};

/// One key's.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) name: Arc<str>,
    pub(super) journal: Option<Journal>,
    pub(super) gauges: KeyGauges,
    /// How often it was sent to rest or refused: what was granted before, and has not left, is not sent.
    setbacks: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Desks {
    dir: PathBuf,
    prefix: String,
    desks: Vec<(KeyId, Arc<Desk>)>,
}

impl Desk {
    pub(super) fn setbacks(&self) -> u64 {
        self.setbacks.load(Ordering::Relaxed)
    }

    pub(super) fn set_back(&self) {
        self.setbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Desks {
    pub(super) fn new(dir: &Path, prefix: &str) -> Self {
        Self { dir: dir.into(), prefix: prefix.to_owned(), desks: Vec::new() }
    }

    /// The desk of a key in use.
    pub(super) fn of(&self, id: KeyId) -> Arc<Desk> {
        let desk = self.desks.iter().find(|(known, _)| *known == id);
        desk.map(|(_, desk)| Arc::clone(desk)).expect("the pool grants keys in use")
    }

    pub(super) fn id(&self, name: &str) -> Option<KeyId> {
        self.desks.iter().find(|(_, desk)| &*desk.name == name).map(|(id, _)| *id)
    }

    /// Opens what is new, and hands the keys to the pool.
    pub(super) fn set(
        &mut self,
        keys: Vec<(String, Limits)>,
        pool: &mut Pool,
        clock: &Clock,
        gauges: &Gauges,
    ) -> io::Result<()> {
        let mut desks = Vec::with_capacity(keys.len());
        let mut wanted = Vec::with_capacity(keys.len());
        for (name, limits) in keys {
            let known = self.desks.iter().find(|(_, desk)| *desk.name == *name);
            let (desk, past) = match known {
                Some((_, desk)) => (Arc::clone(desk), Past::Lost(clock.now())),
                None => {
                    let path = self.dir.join(format!("{}.{name}.window", self.prefix));
                    let (journal, past) = journal::open(&path, &limits, clock)?;
                    let gauges = gauges.of_key(&name);
                    let name = Arc::from(name);
                    (Arc::new(Desk { name, journal, gauges, setbacks: AtomicU64::new(0) }), past)
                }
            };
            wanted.push(NewKey { name: Arc::clone(&desk.name), limits, past });
            desks.push(desk);
        }
        let ids = pool.set_keys(clock.now(), wanted);
        self.desks = ids.into_iter().zip(desks).collect();
        Ok(())
    }
}
