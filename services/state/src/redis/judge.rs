//! Judging a command by what a place knows of its records: pure.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    domain::{self, Address, Edition, Epochs, Precondition, Seq, Vector, Verdict, Writer},
    place::Move,
    recall::{Late, TrailStart},
    write::{Command, Current, Refusal, Write},
};

/// A record as the place has it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What readers see.
    pub visible: Option<Arc<Edition>>,
    /// What is decided on top of it, and not stored.
    pub tip: Option<Arc<Edition>>,
}

/// What becomes of a command.
#[derive(Debug)]
pub enum Judged {
    /// It is to be taken, if nothing has changed since.
    Take(Vec<Move>),
    /// It depends on what is decided up to this place and not stored yet.
    Wait(Seq),
    /// The record has moved on.
    Late(Box<Late>),
    /// It is refused as it is.
    Refused(Box<Refusal>),
}

/// What a command is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'g> {
    /// The records of its writes, in their order.
    pub known: &'g [Known],
    /// The lock's record, where the command names one.
    pub guard: Option<&'g Known>,
    /// The version of those that are not there.
    pub floor: &'g Vector,
    /// What is known of epochs.
    pub epochs: &'g Epochs,
}

impl Known {
    /// The edition on which the next write builds.
    pub fn newest(&self) -> Option<&Arc<Edition>> {
        self.tip.as_ref().or(self.visible.as_ref())
    }

    /// Where its history starts for a write that came too late. What is visible must be stored.
    pub fn trail(&self) -> TrailStart {
        let Some(visible) = &self.visible else { return TrailStart::default() };
        TrailStart {
            stored: true,
            from: visible.seq,
            record: visible.record,
            newest: Some(Arc::clone(visible)),
            ..TrailStart::default()
        }
    }
}

/// Whether a repeat of this write would pass its precondition, or fail it without a trace.
pub fn shows_repeat_by_id_only(write: &Write, known: &Known) -> bool {
    match write.precondition {
        Precondition::Overwrite => true,
        Precondition::Version(_) => false,
        Precondition::Absent => known.visible.as_ref().is_some_and(|edition| !edition.is_live()),
    }
}

/// Judges a command. Conflicts reveal visible editions only, so everything but a blind overwrite is judged by what is
/// visible, and waits where that alone would let it pass.
pub fn judge(command: &Command, write_id: Uuid, ground: Ground<'_>) -> Judged {
    if let Some(refused) = lock_lost(command, ground.guard) {
        return refused;
    }
    for (index, (write, known)) in command.writes.iter().zip(ground.known).enumerate() {
        if let Some(judged) = judge_one(command, index, write, known, ground) {
            return judged;
        }
    }
    let moves = command.writes.iter().zip(ground.known);
    Judged::Take(moves.map(|(write, known)| make(command, write_id, write, known, ground)).collect())
}

/// A lock that changes hands hides nothing: it is always DURABLE, and its newest edition counts, stored or not.
fn lock_lost(command: &Command, lock: Option<&Known>) -> Option<Judged> {
    let guard = command.guard.as_ref()?;
    let held = lock.and_then(Known::newest).is_some_and(|lock| lock.is_live() && lock.revision == guard.revision);
    (!held).then(|| Judged::Refused(Box::new(Refusal::LockLost { address: guard.address.clone() })))
}

fn judge_one(command: &Command, index: usize, write: &Write, known: &Known, ground: Ground<'_>) -> Option<Judged> {
    let blind = write.precondition == Precondition::Overwrite;
    let pending = known.tip.as_ref().map(|tip| tip.seq);
    let current = if blind { known.newest() } else { known.visible.as_ref() };
    let deletes = write.value.is_none();
    let verdict =
        domain::decide(&write.precondition, deletes, current.map(|edition| &**edition), ground.floor, ground.epochs);
    match (verdict, pending) {
        (Verdict::Take, Some(seq)) if !blind => Some(Judged::Wait(seq)),
        (Verdict::NotThere, Some(seq)) => Some(Judged::Wait(seq)),
        (Verdict::Take, _) => None,
        (Verdict::Behind, _) => {
            let current = shown(&write.address, known, ground.floor);
            let trails = ground.known.iter().map(Known::trail).collect();
            Some(Judged::Late(Box::new(Late { index, current, trails })))
        }
        (Verdict::Lost, _) => {
            let presented = write.presented().cloned().unwrap_or_default();
            let current = shown(&write.address, known, ground.floor);
            Some(Judged::Refused(Box::new(Refusal::Lost { presented, current })))
        }
        (Verdict::NotThere, None) => {
            Some(Judged::Refused(Box::new(Refusal::NotThere { address: command.writes[index].address.clone() })))
        }
    }
}

fn shown(address: &Address, known: &Known, floor: &Vector) -> Current {
    let edition = known.visible.clone();
    let vector = edition.as_ref().map_or_else(|| floor.clone(), |edition| edition.vector.clone());
    Current { address: address.clone(), edition, vector }
}

fn make(command: &Command, write_id: Uuid, write: &Write, known: &Known, ground: Ground<'_>) -> Move {
    let before = known.newest();
    let edition = Edition {
        record: before.map_or(0, |before| before.record),
        seq: 0,
        previous: 0,
        revision: domain::next_revision(&write.address, before.map(|before| &**before), ground.floor),
        vector: before.map_or(ground.floor, |before| &before.vector).next(ground.epochs),
        value: write.value.clone(),
        writer: Writer { write_id, invocation_id: Arc::clone(&command.invocation_id), time: command.now },
        blind: write.precondition == Precondition::Overwrite,
        expires: write.expires,
    };
    Move { address: write.address.clone(), expected: before.map_or(0, |before| before.seq), edition }
}
