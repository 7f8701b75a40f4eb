//! A model of records that live through epochs, against which the comparison is judged.

use proptest::prelude::*;

use super::*;
use crate::domain::Ended;

const TAG: [u8; 8] = *b"somewher";

/// One version that some client was once given, and what the model knows about it.
#[derive(Debug, Clone)]
struct Held {
    version: Vector,
    /// How many writes of the current line it includes, and whether it includes one that is gone.
    line: usize,
    lost: bool,
    /// The epoch of the newest write in it.
    epoch: EpochId,
}

/// One record: stored writes survive an end of an epoch with loss, the others do not.
#[derive(Debug)]
struct Model {
    epochs: Epochs,
    lost: Vec<Ended>,
    folded: Vec<EpochId>,
    current: Vector,
    stored: Vector,
    line: usize,
    stored_line: usize,
    floor: Vector,
    alive: bool,
    stored_alive: bool,
    given: Vec<Held>,
    next_epoch: u64,
    now: i64,
}

#[derive(Debug, Clone)]
enum Event {
    Write,
    Flush,
    EndClean,
    EndLost,
    Age(i64),
    DropTombstone,
}

impl Model {
    fn new() -> Self {
        Self {
            epochs: Epochs::new(EpochId(1000)),
            lost: Vec::new(),
            folded: Vec::new(),
            current: Vector::default(),
            stored: Vector::default(),
            line: 0,
            stored_line: 0,
            floor: Vector::default(),
            alive: false,
            stored_alive: false,
            given: Vec::new(),
            next_epoch: 1001,
            now: 0,
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Write => self.write(),
            Event::Flush => self.flush(),
            Event::EndClean => {
                self.flush();
                self.folded.push(self.epochs.current());
                self.begin_epoch();
            }
            Event::EndLost => {
                self.lost.push(Ended { epoch: self.epochs.current(), at: self.now });
                self.begin_epoch();
                self.lose();
            }
            Event::Age(by) => self.now += by,
            Event::DropTombstone => {
                self.flush();
                self.floor = self.floor.merge(&self.current, &self.epochs);
                (self.current, self.stored) = (self.floor.clone(), self.floor.clone());
                (self.alive, self.stored_alive) = (false, false);
            }
        }
        for epoch in self.epochs.due(self.now - 7) {
            self.epochs.fold(epoch);
            self.folded.push(epoch);
            self.lost.retain(|ended| ended.epoch != epoch);
        }
    }

    fn write(&mut self) {
        self.current = self.current.next(&self.epochs);
        self.line += 1;
        self.alive = true;
        self.given.push(Held {
            version: self.current.clone(),
            line: self.line,
            lost: false,
            epoch: self.epochs.current(),
        });
    }

    fn flush(&mut self) {
        (self.stored, self.stored_line) = (self.current.clone(), self.line);
        self.stored_alive = self.alive;
    }

    fn lose(&mut self) {
        for held in &mut self.given {
            held.lost |= held.line > self.stored_line;
        }
        (self.current, self.line) = (self.stored.clone(), self.stored_line);
        self.alive = self.stored_alive;
        // Lines of what was lost are taken again by other writes.
        for held in self.given.iter_mut().filter(|held| held.lost) {
            held.line = 0;
        }
    }

    /// What is known of the epochs before is kept, as a store keeps it through restarts.
    fn begin_epoch(&mut self) {
        self.epochs = Epochs::new(EpochId(self.next_epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        self.next_epoch += 1;
        self.lost.iter().for_each(|ended| self.epochs.add_lost(*ended));
        self.folded.iter().for_each(|epoch| self.epochs.fold(*epoch));
    }

    fn judge(&self) {
        for held in &self.given {
            let said = Vector::compare(&held.version, &self.current, &self.epochs);
            if held.lost {
                assert_ne!(said, Comparison::Equal, "a lost version passes: {held:?} against {}", self.current);
                if !self.epochs.is_folded(held.epoch) {
                    assert_eq!(said, Comparison::Lost, "a loss is not seen: {held:?} against {}", self.current);
                }
            } else if held.line == self.line {
                // The version of a dropped tombstone may be its shard's floor as it is: nothing was written since.
                let right = said == Comparison::Equal || (said == Comparison::Behind && !self.alive);
                assert!(right, "a current version is refused: {held:?}");
            } else {
                assert_eq!(
                    said,
                    Comparison::Behind,
                    "a stale version is not behind: {held:?} against {}",
                    self.current
                );
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Write),
        3 => Just(Event::Flush),
        1 => Just(Event::EndClean),
        2 => Just(Event::EndLost),
        2 => (1_i64..6).prop_map(Event::Age),
        1 => Just(Event::DropTombstone),
    ]
}

proptest! {
    /// No stale write passes, no stale version looks like a loss, no lost version passes.
    #[test]
    fn every_version_ever_given_is_judged_rightly(events in prop::collection::vec(event(), 1..80)) {
        let mut model = Model::new();
        for event in &events {
            model.apply(event);
            model.judge();
        }
    }

    #[test]
    fn a_version_survives_the_wire(floor in any::<u64>(), counts in prop::collection::btree_map(any::<u64>(), 1_u64.., 0..6)) {
        let vector = Vector { floor, counts: counts.into_iter().map(|(epoch, count)| (EpochId(epoch), count)).collect() };
        prop_assert_eq!(Vector::from_version(&vector.to_version(TAG), TAG), Ok(vector.clone()));
        prop_assert_eq!(Vector::from_bytes(&vector.to_bytes()), Ok(vector.clone()));
        prop_assert_eq!(Vector::from_version(&vector.to_version(TAG), *b"elsewher"), Err(BadVersion::OtherRecord));
    }

    #[test]
    fn no_bytes_make_the_decoder_fail_otherwise(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(vector) = Vector::from_bytes(&bytes) {
            prop_assert_eq!(vector.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_vector_stays_small_through_thousands_of_epochs() {
    let mut model = Model::new();
    for round in 0..2_000 {
        model.apply(&Event::Write);
        model.apply(&Event::Flush);
        model.given.clear();
        model.apply(if round % 3 == 0 { &Event::EndLost } else { &Event::EndClean });
        assert!(model.current.entries() <= Epochs::LOST_MAX + 1, "{} entries", model.current.entries());
    }
    model.apply(&Event::Age(8));
    model.apply(&Event::Write);
    assert_eq!(model.current.entries(), 1);
    assert_eq!(model.current.total(), 2_001);
}

#[test]
fn an_unchanged_version_stays_equal_when_its_epoch_folds() {
    let mut model = Model::new();
    model.apply(&Event::Write);
    model.apply(&Event::EndClean);
    model.judge();
}

#[test]
fn a_version_of_an_unknown_life_is_a_loss() {
    let mut model = Model::new();
    model.apply(&Event::Write);
    let foreign = Vector { floor: 0, counts: vec![(EpochId(7), 1)] };
    assert_eq!(Vector::compare(&foreign, &model.current, &model.epochs), Comparison::Lost);
}
