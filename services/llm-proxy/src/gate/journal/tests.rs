use super::*;
use crate::domain::Need;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    let own = ModelLimits { requests_per_minute: Some(3), ..ModelLimits::default() };
    Limits { own, models: Default::default(), window: 60 * SECOND }
}

fn kept(past: Past) -> Vec<Record> {
    match past {
        Past::Kept(records) => records,
        other => panic!("nothing was kept: {other:?}"),
    }
}

/// A file as it is without any call.
fn empty(boot: &str, lost: Option<Duration>) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("k");
    drop(write(&path, Some(boot), lost, &[0; 4 * SLOT]).expect("it is written"));
    fs::read(path).expect("it is read")
}

#[test]
fn what_was_sent_is_known_to_the_next_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("k");
    let clock = Clock::start();
    let (journal, past) = open(&path, &limits(), &[], &clock).expect("it opens");
    assert_eq!(past, Past::Fresh);
    let journal = journal.expect("the key has limits");
    let now = clock.now();
    let (one, other) = (Mark::of("m"), Mark::of("n"));
    let open_call = Record { used: Need { input: 7, output: 1 }, ..Record::default() };
    let done = Record { arrived: Some(now), ended: Some(now), used: Need { input: 3, output: 2 }, ..Record::default() };
    let _open = journal.begin(now, &open_call, one).expect("a slot");
    let ends = journal.begin(now, &open_call, other).expect("a slot");
    let never_left = journal.begin(now, &open_call, other).expect("a slot");
    journal.finish(&ends, &done);
    journal.erase(&never_left);
    // As a process that is killed: what is pending is never written.
    let killed = fs::read(&path).expect("it is read");
    drop(journal);

    let lanes = [(one, Lane(4))];
    let (_, past) = open(&path, &limits(), &lanes, &clock).expect("it opens again");
    let records = kept(past);
    let used: Vec<_> = records.iter().map(|record| (record.lane, record.used.input)).collect();
    assert_eq!(used, [(Some(Lane(4)), 7), (None, 3)]);
    assert!(records[0].ended > Some(now + ENDING_MAX), "it is over once a call given up is");
    assert!(records[1].ended < Some(now + SECOND), "its end was known");

    fs::write(&path, killed).expect("it is written");
    let (_, past) = open(&path, &limits(), &lanes, &clock).expect("it opens again");
    assert_eq!(kept(past).iter().map(|record| record.used.input).sum::<u64>(), 21, "as if all were open");
}

#[test]
fn after_the_machine_stopped_the_window_is_unknown_until_it_has_passed() {
    let read = |bytes: &[u8], boot: Option<&str>| Known::read(bytes, boot, 60 * SECOND, SECOND);
    assert_eq!(read(&empty("a", None), Some("b")), Known::Lost(Duration::ZERO));
    assert_eq!(read(&empty("a", None), None), Known::Lost(Duration::ZERO));
    assert_eq!(read(&empty("a", None), Some("a")), Known::Kept(Vec::new()));
}

#[test]
fn what_cannot_be_read_may_have_been_written_just_now() {
    let now = 9_000 * SECOND;
    let read = |bytes: &[u8]| Known::read(bytes, Some("a"), 60 * SECOND, now);
    assert_eq!(read(b"garbage"), Known::Lost(now));
    let mut older = empty("a", None);
    older[15] = b'1';
    assert_eq!(read(&older), Known::Lost(now), "the file of an older release");
}

#[test]
fn a_second_crash_does_not_forget_that_the_window_was_unknown() {
    let read = |until, now| Known::read(&empty("a", Some(until)), Some("a"), 60 * SECOND, now);
    assert_eq!(read(Duration::ZERO, 59 * SECOND), Known::Lost(Duration::ZERO));
    assert_eq!(read(Duration::ZERO, 61 * SECOND), Known::Kept(Vec::new()));
    assert_eq!(read(100 * SECOND, 159 * SECOND), Known::Lost(100 * SECOND), "of what could not be read");
}

#[test]
fn a_limit_that_is_none_in_effect_takes_no_more_than_its_share_of_the_disk() {
    let of = |requests_per_minute: Option<u32>| {
        slots(&Limits { own: ModelLimits { requests_per_minute, ..ModelLimits::default() }, ..limits() })
    };
    assert_eq!((of(Some(100_000_000)), of(None)), (Some(SLOTS_MAX), None));
}

#[test]
fn a_slot_is_used_again_only_when_its_call_counts_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Clock::start();
    let (journal, _) = open(&dir.path().join("k"), &limits(), &[], &clock).expect("it opens");
    let journal = journal.expect("the key has limits");
    let now = clock.now();
    let done = Record { arrived: Some(now), ended: Some(now), ..Record::default() };
    let begin = |at: Duration| journal.begin(at, &done, Mark::default());
    for _ in 0..3 * PER_REQUEST + SPARE {
        journal.finish(&begin(now).expect("a slot"), &done);
    }
    assert!(begin(now + 59 * SECOND).is_none());
    assert!(begin(now + 60 * SECOND).is_some());
    let own = ModelLimits { requests_per_minute: Some(4), ..ModelLimits::default() };
    journal.resize(&Limits { own, ..limits() });
    let more = (0..20).filter_map(|_| begin(now)).count();
    assert_eq!(more, PER_REQUEST, "a larger limit has more slots at once");
}

#[test]
fn calls_in_turn_are_written_once_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("k");
    let clock = Clock::start();
    let (journal, _) = open(&path, &limits(), &[], &clock).expect("it opens");
    let journal = journal.expect("the key has limits");
    let now = clock.now();
    let done = Record { arrived: Some(now), ended: Some(now), used: Need { input: 1, output: 0 }, ..Record::default() };
    let open_call = Record { used: Need { input: 9, output: 0 }, ..Record::default() };
    for _ in 0..5 {
        let slot = journal.begin(now, &open_call, Mark::default()).expect("a slot");
        journal.finish(&slot, &done);
    }
    assert_eq!(journal.slots.lock().pending, [4], "each call brought the end of the one before with it");
    let written = fs::read(&path).expect("it is read");
    let used: u64 =
        written[HEADER..].chunks_exact(SLOT).filter_map(|slot| decode(slot, &[])).map(|call| call.used.input).sum();
    assert_eq!(used, 4 + 9);
}
