//! Keeps a key's last window through the end of the process: one slot of a fixed file for each call that may still count.
//!
//! A slot is written before its request leaves, into the page cache: enough for a process that is killed. A machine that
//! stops takes its uptime with it; then the window counts as spent from the machine's start. The file is written out in
//! full when it is made, so that a full disk cannot stop it later.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    clock::{Clock, STEP},
    config::ModelLimits,
    domain::{ENDING_MAX, Limits, Need, Past, Record},
};

const MAGIC: &[u8; 16] = b"holdfast window2";
const HEADER: usize = 64;
const SLOT: usize = 40;
/// Slots for each request of a window: a call that takes several windows keeps its slot so long.
const PER_REQUEST: usize = 8;
/// The most slots that a limit of tokens alone asks for.
const BY_TOKENS_MAX: u64 = 16_384;
/// The most slots at all: 8 MiB.
const SLOTS_MAX: usize = 1 << 18;
/// Slots beside those that the limits need.
const SPARE: usize = 64;

const USED: u64 = 1;
const ARRIVED: u64 = 2;
const ENDED: u64 = 4;

/// The file of one key.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    window: Duration,
    /// Slots by the time from which they may be used again.
    free: Mutex<BinaryHeap<Reverse<(Duration, usize)>>>,
}

/// The place of one call.
#[derive(Debug)]
pub(crate) struct Slot(usize);

/// Reads what is known of a key's last window, and makes its file anew. A key without limits needs none.
pub(crate) fn open(path: &Path, limits: &Limits, clock: &Clock) -> io::Result<(Option<Journal>, Past)> {
    let Some(most) = slots(limits) else { return Ok((None, Past::Fresh)) };
    let now = clock.now();
    let past = match fs::read(path) {
        Ok(bytes) => read(&bytes, clock.boot(), limits.window, now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Past::Fresh,
        Err(error) => return Err(error),
    };
    let kept = match &past {
        Past::Kept(records) => records.as_slice(),
        _ => &[],
    };
    let slots = most.max(kept.len()) + SPARE;
    let file = write(path, clock.boot(), matches!(past, Past::Lost(_)), kept, slots, now)?;
    let free = (0..slots).map(|index| {
        let until = kept.get(index).map_or(Duration::ZERO, |record| leaves(record, now, limits.window));
        Reverse((until, index))
    });
    let journal = Journal { file, window: limits.window, free: Mutex::new(free.collect()) };
    Ok((Some(journal), past))
}

impl Journal {
    /// A call is about to leave. Without a free slot it is not kept, which takes calls that last for many windows.
    pub(crate) fn begin(&self, now: Duration, record: &Record) -> Option<Slot> {
        let mut free = self.free.lock();
        free.peek().filter(|Reverse((until, _))| *until <= now)?;
        let Reverse((_, index)) = free.pop()?;
        drop(free);
        let slot = Slot(index);
        self.put(&slot, &encode(record));
        Some(slot)
    }

    /// Everything is known of a call; its slot is free once it counts no more.
    pub(crate) fn finish(&self, slot: Slot, record: &Record) {
        self.put(&slot, &encode(record));
        let known = record.arrived.max(record.ended).unwrap_or_default();
        self.free.lock().push(Reverse((known + self.window, slot.0)));
    }

    /// The call never left.
    pub(crate) fn erase(&self, slot: Slot) {
        self.put(&slot, &[0; SLOT]);
        self.free.lock().push(Reverse((Duration::ZERO, slot.0)));
    }

    fn put(&self, slot: &Slot, bytes: &[u8; SLOT]) {
        if let Err(error) = self.file.write_all_at(bytes, (HEADER + slot.0 * SLOT) as u64) {
            // The limit itself holds; only a restart within this window would not know of this call.
            tracing::warn!(%error, "a call could not be kept for the case of a restart");
        }
    }
}

/// How many calls may count at once, as far as the limits say; none without limits.
fn slots(limits: &Limits) -> Option<usize> {
    let of = |limits: &ModelLimits| {
        let requests = limits.requests_per_minute.map(|most| (most as usize).saturating_mul(PER_REQUEST));
        let places = limits.concurrency.map(|most| (most as usize).saturating_mul(2));
        let tokens = [limits.tokens_per_minute, limits.input_tokens_per_minute, limits.output_tokens_per_minute];
        let tokens = tokens.into_iter().flatten().min().map(|most| most.min(BY_TOKENS_MAX) as usize);
        let days = limits.requests_per_day.or(limits.tokens_per_day).map(|most| most.min(BY_TOKENS_MAX) as usize);
        requests.or(tokens).or(days).into_iter().chain(places).reduce(usize::saturating_add)
    };
    let own = of(&limits.own);
    let wanted = own.or_else(|| limits.models.values().filter_map(of).reduce(usize::saturating_add));
    wanted.map(|slots| slots.min(SLOTS_MAX))
}

/// From when a record counts no more.
fn leaves(record: &Record, now: Duration, window: Duration) -> Duration {
    let over = now + ENDING_MAX;
    record.arrived.unwrap_or(over).max(record.ended.unwrap_or(over)) + window
}

fn read(bytes: &[u8], boot: Option<&str>, window: Duration, now: Duration) -> Past {
    let Some(header) = bytes.get(..HEADER).filter(|header| header.starts_with(MAGIC)) else {
        return Past::Lost(Duration::ZERO);
    };
    let lost = header[16] == 1 && now <= window;
    let written = std::str::from_utf8(&header[17..]).unwrap_or_default().trim_end_matches('\0');
    if lost || boot != Some(written) {
        return Past::Lost(Duration::ZERO);
    }
    let records = bytes[HEADER..].chunks_exact(SLOT).filter_map(decode);
    Past::Kept(records.filter(|record| leaves(record, now, window) >= now).collect())
}

fn write(
    path: &Path,
    boot: Option<&str>,
    lost: bool,
    kept: &[Record],
    slots: usize,
    now: Duration,
) -> io::Result<File> {
    let mut bytes = vec![0; HEADER + slots * SLOT];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16] = u8::from(lost);
    let boot = boot.unwrap_or_default().as_bytes();
    let length = boot.len().min(HEADER - 17);
    bytes[17..17 + length].copy_from_slice(&boot[..length]);
    for (slot, record) in bytes[HEADER..].chunks_exact_mut(SLOT).zip(kept) {
        // Who left these calls open is gone: they are over once a call given up is.
        let over = now + ENDING_MAX;
        let record = Record { arrived: record.arrived.or(Some(over)), ended: record.ended.or(Some(over)), ..*record };
        slot.copy_from_slice(&encode(&record));
    }
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, &bytes)?;
    let file = File::options().read(true).write(true).open(&fresh)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

fn encode(record: &Record) -> [u8; SLOT] {
    let flag = |known: Option<Duration>, flag: u64| if known.is_some() { flag } else { 0 };
    // Rounded up: a record may count longer than the call did, never shorter.
    let micros = |at: Option<Duration>| at.map_or(0, |at| at.as_nanos().div_ceil(1_000) as u64);
    let fields = [
        USED | flag(record.arrived, ARRIVED) | flag(record.ended, ENDED),
        micros(record.arrived),
        micros(record.ended),
        record.used.input,
        record.used.output,
    ];
    let mut bytes = [0; SLOT];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let mut fields = [0_u64; SLOT / 8];
    for (field, place) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
        *field = u64::from_le_bytes(place.try_into().ok()?);
    }
    let [flags, arrived, ended, input, output] = fields;
    let known = |flag: u64, micros: u64| (flags & flag != 0).then(|| Duration::from_micros(micros) + STEP);
    (flags & USED != 0).then(|| Record {
        lane: None,
        arrived: known(ARRIVED, arrived),
        ended: known(ENDED, ended),
        used: Need { input, output },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_was_sent_is_known_to_the_next_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("k");
        let clock = Clock::start();
        let (journal, past) = open(&path, &limits(), &clock).expect("it opens");
        assert_eq!(past, Past::Fresh);
        let journal = journal.expect("the key has limits");
        let now = clock.now();
        let slot = |record: &Record| journal.begin(now, record).expect("a slot");
        let open_call = Record { used: Need { input: 7, output: 0 }, ..Record::default() };
        let done = Record { arrived: Some(now), ended: Some(now), ..Record::default() };
        let _ = slot(&open_call);
        journal.finish(slot(&Record::default()), &done);
        journal.erase(slot(&open_call));
        drop(journal);

        let (_, past) = open(&path, &limits(), &clock).expect("it opens again");

        let kept = kept(past);
        assert_eq!(kept.len(), 2);
        assert!(kept.contains(&open_call));
    }

    #[test]
    fn after_the_machine_stopped_the_window_is_unknown_until_it_has_passed() {
        let bytes = |boot: &str| {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("k");
            drop(write(&path, Some(boot), false, &[], 4, SECOND).expect("it is written"));
            fs::read(path).expect("it is read")
        };
        assert_eq!(read(&bytes("a"), Some("b"), 60 * SECOND, SECOND), Past::Lost(Duration::ZERO));
        assert_eq!(read(&bytes("a"), None, 60 * SECOND, SECOND), Past::Lost(Duration::ZERO));
        assert_eq!(read(&bytes("a"), Some("a"), 60 * SECOND, SECOND), Past::Kept(Vec::new()));
        assert_eq!(read(b"garbage", Some("a"), 60 * SECOND, SECOND), Past::Lost(Duration::ZERO));
    }

    #[test]
    fn a_second_crash_does_not_forget_that_the_window_was_unknown() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("k");
        drop(write(&path, Some("a"), true, &[], 4, SECOND).expect("it is written"));
        let bytes = fs::read(path).expect("it is read");
        assert_eq!(read(&bytes, Some("a"), 60 * SECOND, 59 * SECOND), Past::Lost(Duration::ZERO));
        assert_eq!(read(&bytes, Some("a"), 60 * SECOND, 61 * SECOND), Past::Kept(Vec::new()));
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
        let (journal, _) = open(&dir.path().join("k"), &limits(), &clock).expect("it opens");
        let journal = journal.expect("the key has limits");
        let now = clock.now();
        let done = Record { arrived: Some(now), ended: Some(now), ..Record::default() };
        for _ in 0..3 * PER_REQUEST + SPARE {
            let slot = journal.begin(now, &done).expect("a slot");
            journal.finish(slot, &done);
        }
        assert!(journal.begin(now + 59 * SECOND, &done).is_none());
        assert!(journal.begin(now + 60 * SECOND, &done).is_some());
    }
}
