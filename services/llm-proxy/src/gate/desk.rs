//! What the gate keeps of each key beside the pool: its name, its files, its gauges.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    days::{DayFile, Written},
    journal::{self, Journal, Mark},
};
use crate::{
    clock::Clock,
    domain::{Days, KeyId, Lane, Limits, NewKey, Past, Pool},
    metrics::{Gauges, KeyGauges},
};

/// One key's. Its journal is closed when nobody has it any more.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) name: Arc<str>,
    pub(super) gauges: KeyGauges,
    journal: OnceLock<Journal>,
    days: DayFile,
    /// How often it was sent to rest or refused: what was granted before, and has not left, is not sent.
    setbacks: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Desks {
    dir: PathBuf,
    prefix: String,
    in_use: Vec<(KeyId, Arc<Desk>)>,
    /// Of keys that were removed, while calls have them.
    leaving: Vec<Arc<Desk>>,
}

/// What is to be written of a key's day.
pub(super) type Unwritten = (DayFile, Written);

impl Desk {
    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    pub(super) fn setbacks(&self) -> u64 {
        self.setbacks.load(Ordering::Relaxed)
    }

    pub(super) fn set_back(&self) {
        self.setbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Desks {
    pub(super) fn new(dir: &Path, prefix: &str) -> Self {
        Self { dir: dir.into(), prefix: prefix.to_owned(), in_use: Vec::new(), leaving: Vec::new() }
    }

    /// The desk of a key in use.
    pub(super) fn of(&self, id: KeyId) -> Arc<Desk> {
        let desk = self.in_use.iter().find(|(known, _)| *known == id);
        desk.map(|(_, desk)| Arc::clone(desk)).expect("the pool grants keys in use")
    }

    pub(super) fn id(&self, name: &str) -> Option<KeyId> {
        self.in_use.iter().find(|(_, desk)| &*desk.name == name).map(|(id, _)| *id)
    }

    pub(super) fn journals(&self) -> impl Iterator<Item = &Journal> {
        self.in_use.iter().filter_map(|(_, desk)| desk.journal())
    }

    /// Opens what is new, and hands the keys to the pool. After an error all is as it was.
    pub(super) fn set(
        &mut self,
        keys: Vec<(String, Limits)>,
        pool: &mut Pool,
        clock: &Clock,
        gauges: &Gauges,
    ) -> io::Result<()> {
        self.leaving.retain(|desk| Arc::strong_count(desk) > 1);
        let mut desks = Vec::with_capacity(keys.len());
        let mut wanted = Vec::with_capacity(keys.len());
        for (name, limits) in keys {
            let lanes: Vec<_> =
                limits.models.keys().map(|model| (Arc::from(model.as_str()), pool.lane(model))).collect();
            let known = self.in_use.iter().map(|(_, desk)| desk).chain(&self.leaving).find(|desk| *desk.name == *name);
            let (desk, past, days) = match known {
                Some(desk) => (Arc::clone(desk), self.looked_up(desk, &limits, &lanes, clock)?, Days::Fresh),
                None => self.open(name, &limits, &lanes, clock, gauges)?,
            };
            wanted.push(NewKey { name: Arc::clone(&desk.name), limits, past, days });
            desks.push(desk);
        }
        pool.set_keys(clock.now(), wanted);
        let ids = pool.key_ids();
        desks.iter().filter(|desk| self.id(&desk.name).is_none()).for_each(|desk| desk.gauges.taken());
        for (_, desk) in std::mem::replace(&mut self.in_use, ids.into_iter().zip(desks).collect()) {
            if self.id(&desk.name).is_none() {
                desk.gauges.removed();
                self.leaving.push(desk);
            }
        }
        self.leaving.retain(|desk| self.in_use.iter().all(|(_, used)| used.name != desk.name));
        Ok(())
    }

    /// What is to be written of the keys' days.
    pub(super) fn unwritten(&self, pool: &mut Pool, clock: &Clock, whole: bool) -> Vec<Unwritten> {
        let of_key = |(id, desk): &(KeyId, Arc<Desk>)| {
            let days = pool.days(clock.now(), *id);
            let written = Written::new(days, |lane| Arc::clone(pool.upstream(lane)), clock, whole);
            (!written.is_empty()).then(|| (desk.days.clone(), written))
        };
        self.in_use.iter().filter_map(of_key).collect()
    }

    fn open(
        &self,
        name: String,
        limits: &Limits,
        lanes: &[(Arc<str>, Lane)],
        clock: &Clock,
        gauges: &Gauges,
    ) -> io::Result<(Arc<Desk>, Past, Days)> {
        let days = DayFile::new(&self.dir, &format!("{}.{name}", self.prefix));
        let known = days.read(limits, lanes, clock)?;
        let (journal, past) = journal::open(&self.path(&name), limits, &marks(lanes), clock)?;
        let journal = journal.map(OnceLock::from).unwrap_or_default();
        let (gauges, name) = (gauges.of_key(&name), Arc::from(name));
        Ok((Arc::new(Desk { name, gauges, journal, days, setbacks: AtomicU64::new(0) }), past, known))
    }

    /// What a key in use has done lately: looked at for limits that are new.
    fn looked_up(&self, desk: &Desk, limits: &Limits, lanes: &[(Arc<str>, Lane)], clock: &Clock) -> io::Result<Past> {
        if let Some(journal) = desk.journal() {
            journal.resize(limits);
            return Ok(journal.past(clock.now(), &marks(lanes)));
        }
        if let (Some(journal), _) = journal::open(&self.path(&desk.name), limits, &marks(lanes), clock)? {
            desk.journal.get_or_init(|| journal);
        }
        // Until now it had no limits, and nobody wrote down what it did.
        Ok(Past::Lost(clock.now()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}.{name}.window", self.prefix))
    }
}

fn marks(lanes: &[(Arc<str>, Lane)]) -> Vec<(Mark, Lane)> {
    lanes.iter().map(|(upstream, lane)| (Mark::of(upstream), *lane)).collect()
}
