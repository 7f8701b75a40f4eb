//! Keeps a key's last window through the end of the process: one slot of a fixed file for each call that may still count.
//!
//! A slot is written before its request leaves, into the page cache: enough for a process that is killed. Its end is
//! written with one of the next calls, or soon after: until then the next process takes the call for just ended. A machine
//! that stops takes its uptime with it; then the window counts as spent from the machine's start. The file is written out
//! in full when it is made, so that a full disk cannot stop it later.

mod slot;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use parking_lot::Mutex;

pub(super) use self::slot::Mark;
use self::slot::{SLOT, decode, encode};
use crate::{
    clock::Clock,
    config::ModelLimits,
    domain::{ENDING_MAX, Lane, Limits, Past, Record},
};

const MAGIC: &[u8; 16] = b"holdfast window2";
const HEADER: usize = 64;
/// Where in it stands which start of the machine this is.
const BOOT_AT: usize = 24;
/// Slots for each request of a window: a call that takes several windows keeps its slot so long.
const PER_REQUEST: usize = 8;
/// The most slots that a limit of tokens alone asks for.
const BY_TOKENS_MAX: u64 = 16_384;
/// The most slots at all: 10 MiB.
const SLOTS_MAX: usize = 1 << 18;
/// Slots beside those that the limits need.
const SPARE: usize = 64;
/// Slots so near to each other are written as one.
const NEAR: usize = 100;
/// The file is made by writes of this size: the page cache keeps what was written at once together, and each later write to
/// it takes time with its size (ext4: 4 µs where 10 MiB were written at once, 1 µs by pieces).
const PIECE: usize = 32 << 10;
/// The most slots whose end is not written.
const PENDING_MAX: usize = 64;

/// The file of one key.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    window: Duration,
    /// What the file holds after its header, once all that is pending is written.
    image: Vec<u8>,
    pending: Vec<usize>,
    /// Slots that may be used.
    free: Vec<usize>,
    /// Slots by the time from which they may be used again: when their calls count no more.
    counting: BinaryHeap<Reverse<(Duration, usize)>>,
}

/// The place of one call.
#[derive(Debug)]
pub(super) struct Slot {
    index: usize,
    mark: Mark,
}

/// Reads what is known of a key's last window, and makes its file anew. A key without limits needs none.
pub(super) fn open(
    path: &Path,
    limits: &Limits,
    lanes: &[(Mark, Lane)],
    clock: &Clock,
) -> io::Result<(Option<Journal>, Past)> {
    let Some(most) = slots(limits) else { return Ok((None, Past::Fresh)) };
    let now = clock.now();
    let known = match fs::read(path) {
        Ok(bytes) => Known::read(&bytes, clock.boot(), limits.window, now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Known::Kept(Vec::new()),
        Err(error) => return Err(error),
    };
    let (kept, lost) = match known {
        Known::Kept(kept) => (kept, None),
        Known::Lost(until) => (Vec::new(), Some(until)),
    };
    let mut image = kept.concat();
    image.resize((most.max(kept.len()) + SPARE) * SLOT, 0);
    let file = write(path, clock.boot(), lost, &image)?;
    let records: Vec<_> = kept.iter().filter_map(|bytes| decode(bytes, lanes)).collect();
    let counting =
        (0..).zip(&records).map(|(index, record)| Reverse((counts_until(record, now, limits.window), index)));
    let (counting, free) = (counting.collect(), (records.len()..image.len() / SLOT).rev().collect());
    let slots = Slots { window: limits.window, free, counting, image, pending: Vec::new() };
    let past = match (lost, records.is_empty()) {
        (Some(until), _) => Past::Lost(until),
        (None, true) => Past::Fresh,
        (None, false) => Past::Kept(records),
    };
    Ok((Some(Journal { file, slots: Mutex::new(slots) }), past))
}

impl Journal {
    /// A call is about to leave. Without a free slot it is not kept, which takes calls that last for many windows.
    pub(super) fn begin(&self, now: Duration, record: &Record, mark: Mark) -> Option<Slot> {
        let mut slots = self.slots.lock();
        let index = slots.take(now)?;
        slots.set(index, &encode(record, mark));
        let near = slots.pending.iter().fold(index..index + 1, |all, at| all.start.min(*at)..all.end.max(at + 1));
        if near.len() <= NEAR {
            slots.pending.clear();
            self.put(&slots.image, near);
        } else {
            self.put(&slots.image, index..index + 1);
        }
        Some(Slot { index, mark })
    }

    /// Everything is known of a call; its slot is free once it counts no more.
    pub(super) fn finish(&self, slot: &Slot, record: &Record) {
        let mut slots = self.slots.lock();
        let known = record.arrived.max(record.ended).unwrap_or_default() + slots.window;
        self.close(&mut slots, slot.index, &encode(record, slot.mark), known);
    }

    /// The call never left.
    pub(super) fn erase(&self, slot: &Slot) {
        self.close(&mut self.slots.lock(), slot.index, &[0; SLOT], Duration::ZERO);
    }

    /// Writes what is not written.
    pub(super) fn flush(&self) {
        let mut slots = self.slots.lock();
        for index in std::mem::take(&mut slots.pending) {
            self.put(&slots.image, index..index + 1);
        }
    }

    /// Other limits from here on.
    pub(super) fn resize(&self, limits: &Limits) {
        let mut slots = self.slots.lock();
        slots.window = limits.window;
        let before = slots.image.len() / SLOT;
        let wanted = self::slots(limits).map_or(0, |most| most + SPARE);
        if wanted > before {
            slots.image.resize(wanted * SLOT, 0);
            slots.free.extend((before..wanted).rev());
            self.put(&slots.image, before..wanted);
        }
    }

    /// The calls of the last window that are over.
    pub(super) fn past(&self, now: Duration, lanes: &[(Mark, Lane)]) -> Past {
        let slots = self.slots.lock();
        let records = slots.image.chunks_exact(SLOT).filter_map(|bytes| decode(bytes, lanes));
        let over = records.filter(|record| record.ended.is_some() && counts_until(record, now, slots.window) >= now);
        Past::Kept(over.collect())
    }

    fn close(&self, slots: &mut Slots, index: usize, bytes: &[u8; SLOT], free_from: Duration) {
        slots.set(index, bytes);
        slots.counting.push(Reverse((free_from, index)));
        slots.pending.push(index);
        if slots.pending.len() > PENDING_MAX {
            for index in std::mem::take(&mut slots.pending) {
                self.put(&slots.image, index..index + 1);
            }
        }
    }

    fn put(&self, image: &[u8], slots: Range<usize>) {
        let bytes = slots.start * SLOT..slots.end * SLOT;
        if let Err(error) = self.file.write_all_at(&image[bytes.clone()], (HEADER + bytes.start) as u64) {
            // The limit itself holds; only a restart within this window would not know of this call.
            tracing::warn!(%error, "a call could not be kept for the case of a restart");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Slots {
    fn set(&mut self, index: usize, bytes: &[u8; SLOT]) {
        self.image[index * SLOT..(index + 1) * SLOT].copy_from_slice(bytes);
    }

    /// A slot that may be used. Those that never were go first: the heap is deep, and each step in it a miss of the cache.
    fn take(&mut self, now: Duration) -> Option<usize> {
        self.free.pop().or_else(|| {
            self.counting.peek().filter(|Reverse((until, _))| *until <= now)?;
            self.counting.pop().map(|Reverse((_, index))| index)
        })
    }
}

/// How many calls may count at once, as far as the limits say; none without limits.
fn slots(limits: &Limits) -> Option<usize> {
    let of_models = limits.models.values().filter_map(calls).reduce(usize::saturating_add);
    calls(&limits.own).max(of_models).map(|slots| slots.min(SLOTS_MAX))
}

fn calls(limits: &ModelLimits) -> Option<usize> {
    let by_tokens = |most: u64| most.min(BY_TOKENS_MAX) as usize;
    let requests = limits.requests_per_minute.map(|most| (most as usize).saturating_mul(PER_REQUEST));
    let places = limits.concurrency.map(|most| (most as usize).saturating_mul(2));
    let tokens = [limits.tokens_per_minute, limits.input_tokens_per_minute, limits.output_tokens_per_minute];
    let daily = limits.requests_per_day.or(limits.tokens_per_day);
    let wanted = requests.or(tokens.into_iter().flatten().min().map(by_tokens)).or(daily.map(by_tokens));
    wanted.into_iter().chain(places).reduce(usize::saturating_add)
}

/// From when a record counts no more.
fn counts_until(record: &Record, now: Duration, window: Duration) -> Duration {
    let over = now + ENDING_MAX;
    record.arrived.unwrap_or(over).max(record.ended.unwrap_or(over)) + window
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// Those calls that may still count.
    Kept(Vec<[u8; SLOT]>),
    /// Calls were made until this time, and are not known.
    Lost(Duration),
}

impl Known {
    fn read(bytes: &[u8], boot: Option<&str>, window: Duration, now: Duration) -> Self {
        // Of whoever wrote what cannot be read nobody knows when that was: it may have gone on until now.
        let Some(header) = bytes.get(..HEADER).filter(|header| header.starts_with(MAGIC)) else {
            return Self::Lost(now);
        };
        let written = std::str::from_utf8(&header[BOOT_AT..]).unwrap_or_default().trim_end_matches('\0');
        if boot != Some(written) {
            return Self::Lost(Duration::ZERO);
        }
        let lost = u64::from_le_bytes(header[16..BOOT_AT].try_into().expect("eight bytes")).checked_sub(1);
        if let Some(until) = lost.map(Duration::from_micros).filter(|until| now <= *until + window) {
            return Self::Lost(until);
        }
        let over = Some(now + ENDING_MAX);
        let kept = bytes[HEADER..].chunks_exact(SLOT).filter_map(|bytes| {
            let record = decode(bytes, &[]).filter(|record| counts_until(record, now, window) >= now)?;
            let mut kept: [u8; SLOT] = bytes.try_into().ok()?;
            if record.arrived.is_none() || record.ended.is_none() {
                // Who left this call open is gone: it is over once a call given up is.
                let record = Record { arrived: record.arrived.or(over), ended: record.ended.or(over), ..record };
                kept = encode(&record, Mark::default());
                kept[4..8].copy_from_slice(&bytes[4..8]);
            }
            Some(kept)
        });
        Self::Kept(kept.collect())
    }
}

fn write(path: &Path, boot: Option<&str>, lost: Option<Duration>, image: &[u8]) -> io::Result<File> {
    let mut bytes = vec![0; HEADER];
    bytes[..16].copy_from_slice(MAGIC);
    // Zero is for nothing lost.
    let lost = lost.map_or(0, |until| u64::try_from(until.as_micros()).unwrap_or(u64::MAX).saturating_add(1));
    bytes[16..BOOT_AT].copy_from_slice(&lost.to_le_bytes());
    let boot = boot.unwrap_or_default().as_bytes();
    let length = boot.len().min(HEADER - BOOT_AT);
    bytes[BOOT_AT..BOOT_AT + length].copy_from_slice(&boot[..length]);
    bytes.extend_from_slice(image);
    let fresh = path.with_extension("fresh");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&fresh)?;
    for (piece, bytes) in bytes.chunks(PIECE).enumerate() {
        file.write_all_at(bytes, (piece * PIECE) as u64)?;
    }
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
