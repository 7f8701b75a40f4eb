//! One shard, step by step, with the test in the place of the flusher.

use std::time::Duration;

use bytes::Bytes;
use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use super::*;
use crate::{
    domain::{Address, EpochId, Precondition, Value, Writer},
    embedded::window::WindowLimits,
    store::Bound,
    write::{Command, Durability, Refusal, Write},
};

pub(super) fn address(key: &str) -> Address {
    Address::new("acme", "n", "p", key).unwrap()
}

pub(super) fn edition(revision: u64, bytes: usize) -> Arc<Edition> {
    let epochs = Epochs::new(EpochId(1));
    Arc::new(Edition {
        record: 1,
        seq: revision,
        previous: revision - 1,
        revision,
        vector: (0..revision).fold(Vector::default(), |vector, _| vector.next(&epochs)),
        value: Some(value(bytes)),
        writer: Writer { write_id: Uuid::nil(), invocation_id: "".into(), time: 0 },
        blind: false,
        expires: None,
    })
}

fn value(bytes: usize) -> Value {
    Value { data: Bytes::from(vec![7; bytes]), content_type: "".into() }
}

const LIMIT: Bound = Bound { writes: 4, bytes: 1 << 20 };

struct Bench {
    shard: Arc<Shard>,
    in_hand: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with_age(Duration::from_secs(60))
    }

    fn with_age(cached_age: Duration) -> Self {
        let epochs = Epochs::new(EpochId(1));
        let limits = WindowLimits { cached: LIMIT, cached_age, waiting: Bound { writes: 64, ..LIMIT } };
        let recovered = Recovered {
            epochs: epochs.clone(),
            floors: Vec::new(),
            flushes: 0,
            seq: 0,
            record: 0,
            fence_floor: 0,
            lost: None,
        };
        let shared = Arc::new(Shared::new(Window::new(limits), &recovered));
        let id = address("k").shard();
        let shard = Shard::new(id, shared, Arc::new(epochs), Vector::default(), 1 << 20);
        Self { shard: Arc::new(shard), in_hand: 0 }
    }

    /// A shard in which the record "k" was written once.
    fn with_record() -> (Self, Arc<Edition>) {
        let mut bench = Self::new();
        bench.fill("k");
        let (editions, _) = pending(bench.put("k", Precondition::Absent, Durability::Durable));
        bench.store();
        (bench, Arc::clone(&editions[0]))
    }

    /// A shard that acknowledges CACHED writes at once, with the record "k".
    fn dirty() -> Self {
        Self::dirty_with_age(Duration::from_secs(60))
    }

    fn dirty_with_age(cached_age: Duration) -> Self {
        let mut bench = Self::with_age(cached_age);
        bench.fill("k");
        let _ = pending(bench.put("k", Precondition::Absent, Durability::Cached));
        bench.store();
        bench
    }

    fn fill(&self, key: &str) {
        let Look::Fill(ticket, _) = self.shard.look(&address(key)) else { panic!("{key} is not there yet") };
        self.shard.install(&address(key), ticket, Ok(None));
    }

    fn put(&self, key: &str, precondition: Precondition, durability: Durability) -> Decision {
        self.shard.decide(&command(key, precondition, durability), &mut None)
    }

    fn overwrite(&self, durability: Durability) -> Decision {
        self.put("k", Precondition::Overwrite, durability)
    }

    fn take(&mut self) -> usize {
        self.in_hand += self.shard.take(drop);
        self.in_hand
    }

    fn store(&mut self) {
        self.take();
        self.shard.release(std::mem::take(&mut self.in_hand));
    }

    fn fail(&mut self) -> bool {
        self.take();
        self.in_hand = 0;
        self.shard.roll_back(&unstored())
    }

    fn revision(&self) -> u64 {
        match self.shard.look(&address("k")) {
            Look::Here(edition) => edition.map_or(0, |edition| edition.revision),
            _ => panic!("k is in the cache"),
        }
    }
}

fn command(key: &str, precondition: Precondition, durability: Durability) -> Command {
    let write = Write { address: address(key), precondition, value: Some(value(10)), expires: None };
    Command { writes: vec![write], guard: None, write_id: None, invocation_id: "".into(), durability, now: 0 }
}

fn unstored() -> Unstored {
    Unstored { failure: Failure::new(Class::Full, "no space"), in_doubt: false }
}

fn version(edition: &Edition) -> Precondition {
    Precondition::Version(edition.vector.clone())
}

fn pending(decision: Decision) -> (Vec<Arc<Edition>>, oneshot::Receiver<Stored>) {
    match decision {
        Decision::Pending(editions, stored) => (editions, stored),
        other => panic!("it waits for the store: {other:?}"),
    }
}

#[tokio::test]
async fn a_durable_write_is_visible_only_once_it_is_stored() {
    let (mut bench, first) = Bench::with_record();
    let (second, mut stored) = pending(bench.put("k", version(&first), Durability::Durable));
    bench.take();
    assert_eq!(bench.revision(), 1);
    assert!(stored.try_recv().is_err(), "not acknowledged before it is stored");
    bench.store();
    assert!(stored.try_recv().unwrap().is_ok());
    assert_eq!(bench.revision(), second[0].revision);
}

#[tokio::test]
async fn a_conflict_reveals_only_what_is_stored() {
    let (mut bench, first) = Bench::with_record();
    let _ = pending(bench.put("k", version(&first), Durability::Durable));
    let Decision::Wait(mut wait) = bench.put("k", version(&first), Durability::Durable) else {
        panic!("who loses against an unstored write waits for it")
    };
    assert!(wait.try_recv().is_err());
    bench.store();
    assert!(wait.try_recv().unwrap().is_ok());
    let Decision::Late(late) = bench.put("k", version(&first), Durability::Durable) else { panic!("it is late") };
    assert_eq!(late.current.edition.unwrap().revision, 2);
}

#[tokio::test]
async fn a_failed_flush_undoes_what_was_not_acknowledged() {
    let (mut bench, first) = Bench::with_record();
    let (_, mut stored) = pending(bench.put("k", version(&first), Durability::Durable));
    let (_, mut behind) = pending(bench.overwrite(Durability::Durable));
    let Decision::Wait(mut wait) = bench.put("k", version(&first), Durability::Durable) else { panic!("it waits") };
    assert!(!bench.fail(), "nothing stays");
    for refused in [&mut stored, &mut behind, &mut wait] {
        assert!(refused.try_recv().unwrap().is_err());
    }
    assert_eq!(bench.revision(), 1);
    let _ = pending(bench.put("k", version(&first), Durability::Durable));
    bench.store();
    assert_eq!(bench.revision(), 2, "it heals");
}

#[tokio::test]
async fn the_first_cached_write_waits_for_the_mark() {
    let mut bench = Bench::new();
    bench.fill("k");
    let (_, mut stored) = pending(bench.put("k", Precondition::Absent, Durability::Cached));
    assert!(stored.try_recv().is_err());
    bench.store();
    assert!(matches!(bench.overwrite(Durability::Cached), Decision::Acknowledged(_)));
    assert_eq!(bench.revision(), 2, "visible at once");
}

#[tokio::test]
async fn an_acknowledged_write_survives_failed_flushes() {
    let mut bench = Bench::dirty();
    assert!(matches!(bench.overwrite(Durability::Cached), Decision::Acknowledged(_)));
    let (_, mut durable) = pending(bench.overwrite(Durability::Durable));
    assert!(bench.fail(), "the acknowledged one stays");
    assert!(durable.try_recv().unwrap().is_err());
    assert_eq!(bench.revision(), 2);
    assert_eq!(bench.take(), 1);
    bench.store();
    assert_eq!(bench.revision(), 2);
    assert_eq!(bench.shard.shared.window.waiting().writes, 0);
}

#[tokio::test]
async fn cached_writes_turn_synchronous_past_each_bound() {
    let bench = Bench::dirty();
    for _ in 0..LIMIT.writes {
        assert!(matches!(bench.overwrite(Durability::Cached), Decision::Acknowledged(_)));
    }
    let _count = pending(bench.overwrite(Durability::Cached));

    let bench = Bench::dirty_with_age(Duration::ZERO);
    assert!(matches!(bench.overwrite(Durability::Cached), Decision::Acknowledged(_)), "nothing waits yet");
    let _age = pending(bench.overwrite(Durability::Cached));

    let bench = Bench::dirty();
    bench.shard.shared.healthy.store(false, Relaxed);
    let _trouble = pending(bench.overwrite(Durability::Cached));

    let bench = Bench::dirty();
    let mut large = command("k", Precondition::Overwrite, Durability::Cached);
    large.writes[0].value = Some(value(1 << 20));
    assert!(matches!(bench.shard.decide(&large, &mut None), Decision::Full), "past what may wait at all");
}

#[tokio::test]
async fn a_cached_write_never_reveals_a_durable_one_below_it() {
    let mut bench = Bench::dirty();
    let _ = pending(bench.overwrite(Durability::Durable));
    let _ = pending(bench.overwrite(Durability::Cached));
    assert_eq!(bench.revision(), 1);
    bench.store();
    assert_eq!(bench.revision(), 3);
}

#[tokio::test]
async fn a_shard_at_rest_is_cleaned_and_marked_again() {
    let mut bench = Bench::dirty();
    assert!(bench.shard.clean(Instant::now() - Duration::from_secs(1)).is_none(), "it was written to since");
    let mut cleaned = bench.shard.clean(Instant::now()).expect("it rests");
    let _ = pending(bench.overwrite(Durability::Cached));
    bench.store();
    assert!(cleaned.try_recv().unwrap().is_ok());
    assert!(matches!(bench.overwrite(Durability::Cached), Decision::Acknowledged(_)), "the new mark is behind the end");
}

#[tokio::test]
async fn a_failed_mark_is_neither_clean_nor_dirty() {
    let mut bench = Bench::new();
    bench.fill("k");
    let _ = pending(bench.put("k", Precondition::Absent, Durability::Cached));
    bench.fail();
    let _marks_again = pending(bench.put("k", Precondition::Absent, Durability::Cached));
    bench.fail();
    assert!(bench.shard.clean(Instant::now()).is_some(), "the store may have the mark");
}

#[tokio::test]
async fn a_slow_fill_does_not_put_back_an_evicted_past() {
    let bench = Bench::new();
    let Look::Fill(slow, _) = bench.shard.look(&address("k")) else { panic!("it is not there") };
    bench.shard.install(&address("k"), slow, Err(Failure::new(Class::Busy, "later")));
    let Look::Fill(next, mut filled) = bench.shard.look(&address("k")) else { panic!("it is not there") };
    bench.shard.install(&address("k"), slow, Ok(Some(edition(1, 1))));
    assert!(filled.try_recv().is_err(), "the old ticket is void");
    bench.shard.install(&address("k"), next, Ok(Some(edition(2, 1))));
    assert_eq!(filled.try_recv().unwrap().unwrap().unwrap().revision, 2);
    assert_eq!(bench.revision(), 2);
}

#[tokio::test]
async fn one_read_fills_for_all_who_wait() {
    let bench = Bench::new();
    let Look::Fill(ticket, _first) = bench.shard.look(&address("k")) else { panic!("the first one reads") };
    let Look::Filling(mut second) = bench.shard.look(&address("k")) else { panic!("the second one waits") };
    bench.shard.install(&address("k"), ticket, Ok(Some(edition(3, 1))));
    assert_eq!(second.try_recv().unwrap().unwrap().unwrap().revision, 3);
}

#[tokio::test]
async fn two_copies_of_a_blind_write_are_never_both_decided() {
    let (mut bench, _) = Bench::with_record();
    let mut write = command("k", Precondition::Overwrite, Durability::Durable);
    write.write_id = Some(Uuid::from_u128(1));
    let Decision::Check(claim, _) = bench.shard.decide(&write, &mut None) else { panic!("the history is asked first") };
    let Decision::Claimed(mut released) = bench.shard.decide(&write, &mut None) else {
        panic!("the second copy waits")
    };
    let mut claim = Some(claim);
    let _ = pending(bench.shard.decide(&write, &mut claim));
    assert!(claim.is_none() && released.try_recv().is_err(), "the claim lasts until the write is stored");
    bench.store();
    assert!(released.try_recv().is_ok());
    assert!(matches!(bench.shard.decide(&write, &mut None), Decision::Check(..)));
}

#[tokio::test]
async fn a_forgotten_tombstone_leaves_its_vector_in_the_floor() {
    let (mut bench, first) = Bench::with_record();
    let mut delete = command("k", version(&first), Durability::Durable);
    delete.writes[0].value = None;
    let (gone, _) = pending(bench.shard.decide(&delete, &mut None));
    bench.store();
    bench.shard.forget(&address("k")).expect("a tombstone at rest");
    let Decision::Wait(mut wait) = bench.put("k", Precondition::Absent, Durability::Durable) else {
        panic!("a record is not made anew while its tombstone is on its way out")
    };
    bench.store();
    assert!(wait.try_recv().unwrap().is_ok());
    bench.fill("k");
    let (anew, _) = pending(bench.put("k", Precondition::Absent, Durability::Durable));
    assert_eq!(anew[0].vector, gone[0].vector.next(&Epochs::new(EpochId(1))), "no old version comes again");
    let Decision::Late(late) = bench.put("k", version(&first), Durability::Durable) else { panic!("it is late") };
    assert_eq!(late.current.vector, gone[0].vector);
}

#[tokio::test]
async fn a_batch_is_judged_as_a_whole() {
    let (bench, first) = Bench::with_record();
    bench.fill("other");
    let mut batch = command("other", Precondition::Absent, Durability::Durable);
    batch.writes.push(Write {
        address: address("k"),
        precondition: Precondition::Absent,
        value: Some(value(1)),
        expires: None,
    });
    assert!(matches!(bench.shard.decide(&batch, &mut None), Decision::Late(late) if late.index == 1));
    batch.writes[1].precondition = version(&first);
    let _ = pending(bench.shard.decide(&batch, &mut None));
}

#[tokio::test]
async fn a_lost_version_is_refused_with_both() {
    let (bench, first) = Bench::with_record();
    let ahead = first.vector.next(&Epochs::new(EpochId(1)));
    match bench.put("k", Precondition::Version(ahead.clone()), Durability::Durable) {
        Decision::Refused(refusal) => match *refusal {
            Refusal::Lost { presented, current } => {
                assert_eq!((presented, current.vector), (ahead, first.vector.clone()))
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
