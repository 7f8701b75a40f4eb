//! A lock as its records show it.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    Lock,
    records::{self, Claimant, Grant, Line, Places, Renewal},
};
use crate::{
    decider::Decider,
    domain::{Edition, Precondition, Vector},
    failed::Failed,
    write::{Guard, Write},
};

/// How long an offer stands that its desk does not claim. A desk that lives looks several times in this time.
pub(super) const OFFER: Duration = Duration::from_secs(3);
/// A lock record that this release cannot read is somebody's for so long.
const UNREADABLE_TTL: Duration = Duration::from_secs(3_600);

/// The three records, each as it stands. They are not of one moment: what rests on more than one of them is written under
/// the versions of all.
#[derive(Debug, Clone)]
pub(super) struct View {
    places: Places,
    lock: Option<Arc<Edition>>,
    renewal: Option<Arc<Edition>>,
    line: Option<Arc<Edition>>,
    grant: Option<Grant>,
    renewed: Option<Renewal>,
    /// Who waits, in order.
    pub(super) waiting: Line,
}

/// What changes with every sign of life of a lock's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    lock: Option<Vector>,
    renewal: Option<Vector>,
}

impl View {
    pub(super) async fn read(decider: &dyn Decider, places: Places) -> Result<Self, Failed> {
        let asked = places.all();
        let mut found = decider.get(&asked).await?.into_iter();
        let mut next = || found.next().flatten();
        Ok(Self::of(places, next(), next(), next()))
    }

    /// Several locks, by one question.
    pub(super) async fn read_all(decider: &dyn Decider, locks: Vec<Places>) -> Result<Vec<Self>, Failed> {
        let asked: Vec<_> = locks.iter().flat_map(Places::all).collect();
        let mut found = decider.get(&asked).await?.into_iter();
        let mut next = || found.next().flatten();
        Ok(locks.into_iter().map(|places| Self::of(places, next(), next(), next())).collect())
    }

    fn of(
        places: Places,
        lock: Option<Arc<Edition>>,
        renewal: Option<Arc<Edition>>,
        line: Option<Arc<Edition>>,
    ) -> Self {
        let value = |edition: &Option<Arc<Edition>>| edition.as_ref().and_then(|edition| edition.value.clone());
        let grant = value(&lock).map(|value| records::content(&value).unwrap_or_else(unreadable));
        let renewed = value(&renewal).and_then(|value| records::content(&value));
        let waiting = value(&line).and_then(|value| records::content(&value)).unwrap_or_default();
        Self { places, lock, renewal, line, grant, renewed, waiting }
    }

    /// Whose it is; `None` where it is free.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// The fence of the holder.
    pub(super) fn fence(&self) -> u64 {
        self.lock.as_ref().map_or(0, |edition| edition.revision)
    }

    /// Whether the holder with this fence has it.
    pub(super) fn is_held_under(&self, fence: u64) -> bool {
        self.grant.is_some() && self.fence() == fence
    }

    /// The desk that speaks for the holder; nil where the holder renewed it itself, `None` where it is an offer still.
    pub(super) fn claimed_by(&self) -> Option<Uuid> {
        let grant = self.grant.as_ref()?;
        match &self.renewed {
            Some(renewed) if renewed.fence == self.fence() => Some(renewed.desk),
            _ => grant.claimed.then_some(grant.to.desk),
        }
    }

    /// How long the holder may give no sign of life.
    pub(super) fn patience(&self) -> Duration {
        let ttl = self.grant.as_ref().map_or(Duration::ZERO, |grant| grant.to.ttl());
        if self.claimed_by().is_some() { ttl } else { ttl.min(OFFER) }
    }

    pub(super) fn stamp(&self) -> Stamp {
        let vector = |edition: &Option<Arc<Edition>>| edition.as_ref().map(|edition| edition.vector.clone());
        Stamp { lock: vector(&self.lock), renewal: vector(&self.renewal) }
    }

    /// The lock as its holder and others are told of it.
    pub(super) fn lock(&self) -> Option<Lock> {
        let grant = self.grant.as_ref()?;
        Some(Lock {
            name: self.places.lock.key().rsplit(crate::domain::HIDDEN).next().unwrap_or_default().into(),
            fence: self.fence(),
            holder: grant.to.holder.as_str().into(),
            ttl: grant.to.ttl(),
            acquired: grant.at,
            waiting: self.waiting.0.len(),
        })
    }

    /// That the lock does not change hands meanwhile.
    pub(super) fn guard(&self) -> Guard {
        Guard { address: self.places.lock.clone(), revision: self.fence() }
    }

    pub(super) fn write_lock(&self, grant: Option<&Grant>) -> Write {
        let value = grant.map(records::value);
        Write { address: self.places.lock.clone(), precondition: unchanged(&self.lock), value, expires: None }
    }

    pub(super) fn write_renewal(&self, renewal: &Renewal) -> Write {
        let value = Some(records::value(renewal));
        Write { address: self.places.renewal.clone(), precondition: unchanged(&self.renewal), value, expires: None }
    }

    /// Ends the renewal record, if there is one.
    pub(super) fn drop_renewal(&self) -> Option<Write> {
        let live = self.renewal.as_ref().is_some_and(|edition| edition.is_live());
        let write = Write {
            address: self.places.renewal.clone(),
            precondition: unchanged(&self.renewal),
            value: None,
            expires: None,
        };
        live.then_some(write)
    }

    /// That the holder has not renewed meanwhile: of a record that is not there, only a write can ask that.
    pub(super) fn no_renewal(&self) -> Write {
        self.drop_renewal().unwrap_or_else(|| self.write_renewal(&Renewal { fence: 0, desk: Uuid::nil() }))
    }

    /// Makes the line this one; `None` where it is.
    pub(super) fn write_line(&self, line: &Line) -> Option<Write> {
        let value = (!line.0.is_empty()).then(|| records::value(line));
        let write =
            Write { address: self.places.line.clone(), precondition: unchanged(&self.line), value, expires: None };
        (*line != self.waiting).then_some(write)
    }
}

fn unchanged(edition: &Option<Arc<Edition>>) -> Precondition {
    match edition {
        Some(edition) => Precondition::Version(edition.vector.clone()),
        None => Precondition::Absent,
    }
}

/// What a newer release wrote in its own way is held by somebody, as long as a lock may be.
fn unreadable() -> Grant {
    let to = Claimant {
        request: Uuid::nil(),
        holder: String::new(),
        ttl_ms: UNREADABLE_TTL.as_millis() as u64,
        wait_ms: 0,
        desk: Uuid::nil(),
    };
    Grant { to, at: 0, claimed: true }
}
