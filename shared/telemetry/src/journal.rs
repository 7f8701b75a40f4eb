//! What a killed process leaves of its spans, its next life tells: those that had begun, and those that had ended and were
//! not exported yet. Others hang below them elsewhere, and a trace with a hole in it is of no use just when it is wanted.
//!
//! A record is appended as a span begins, as it ends, and once it is exported. Nothing is synced: what a process has written
//! outlives it, and a machine that goes down takes its traces along. Nor is anything queued for a thread that writes: a kill
//! would take just what the journal is for. Only what is recorded comes here.

mod file;
mod span;

use std::{
    collections::HashMap,
    fs::{self, TryLockError},
    io::{self, Read as _},
    path::Path,
    sync::Mutex,
};

use opentelemetry_proto::tonic::trace::v1::Span as Written;
use opentelemetry_sdk::trace::{Span, SpanData};
use prost::Message as _;

use self::file::Disk;

/// Spans that are kept at once: open ones, and ended ones that the exporter has not sent. More are not kept.
const KEPT_MAX: usize = 8_192;
/// The file is written anew once it is this long.
const BYTES_MAX: usize = 4 << 20;
/// Records that are kept at once. Writing the file anew frees the other half at least, so it is not done for every record.
const KEPT_BYTES_MAX: usize = BYTES_MAX / 2;
/// Processes of one service that may share a directory.
const PROCESSES_MAX: usize = 64;

/// What a record says. Its length comes before it, and its kind first.
const BEGUN: u8 = 1;
const ENDED: u8 = 2;
const GONE: u8 = 3;

type Id = [u8; 8];

/// The spans of this process that nobody else knows of yet.
#[derive(Debug)]
pub(crate) struct Journal {
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    file: Box<dyn Disk>,
    written: usize,
    kept: HashMap<Id, Vec<u8>>,
    kept_bytes: usize,
}

impl Journal {
    /// Opens this process's journal, and gives what earlier lives left in theirs.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn open(directory: &Path, service: &str) -> io::Result<(Self, Vec<SpanData>)> {
        fs::create_dir_all(directory)?;
        let (mut own, mut left) = (None, Vec::new());
        for number in 0..PROCESSES_MAX {
            let path = directory.join(format!("{service}-spans-{number}"));
            if own.is_some() && !path.exists() {
                break;
            }
            let mut file = file::open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            left.extend(read(&content));
            file.set_len(0)?;
            own.get_or_insert(file);
        }
        // It stays locked for as long as the process lives.
        let file = own.ok_or_else(|| io::Error::other(format!("{PROCESSES_MAX} processes have one already")))?;
        Ok((Self::new(Box::new(file)), left))
    }

    fn new(file: Box<dyn Disk>) -> Self {
        let book = Book { file, written: 0, kept: HashMap::new(), kept_bytes: 0 };
        Self { book: Mutex::new(book) }
    }

    /// A span has begun.
    pub(crate) fn begun(&self, span: &Span) {
        if let Some(data) = span.exported_data().filter(|data| data.span_context.is_sampled()) {
            self.keep(BEGUN, data);
        }
    }

    /// A span is over, and shall be exported.
    pub(crate) fn ended(&self, span: &SpanData) {
        self.keep(ENDED, span.clone());
    }

    fn keep(&self, kind: u8, span: SpanData) {
        let id = span.span_context.span_id().to_bytes();
        let record = record(kind, &Written::from(span).encode_to_vec());
        let Ok(mut book) = self.book.lock() else { return };
        if book.has_room(id, record.len()) {
            book.append(&record);
            book.kept_bytes += record.len();
            let earlier = book.kept.insert(id, record);
            book.kept_bytes -= earlier.map_or(0, |earlier| earlier.len());
        }
    }

    /// These spans are exported, or given up.
    pub(crate) fn gone(&self, ids: impl Iterator<Item = Id>) {
        let Ok(mut book) = self.book.lock() else { return };
        let mut gone = Vec::new();
        for id in ids {
            if let Some(kept) = book.kept.remove(&id) {
                book.kept_bytes -= kept.len();
                gone.extend(id);
            }
        }
        if !gone.is_empty() {
            book.append(&record(GONE, &gone));
        }
    }

    /// The process ends in order: nothing stays in the file but what could not be exported, which is mostly nothing.
    pub(crate) fn end(&self) {
        let Ok(mut book) = self.book.lock() else { return };
        book.write_anew();
    }
}

impl Book {
    /// A span that is kept as it began, and has no room as it ended, stays as it began.
    fn has_room(&self, id: Id, bytes: usize) -> bool {
        let earlier = self.kept.get(&id).map(Vec::len);
        let places = self.kept.len() - usize::from(earlier.is_some());
        places < KEPT_MAX && self.kept_bytes - earlier.unwrap_or(0) + bytes <= KEPT_BYTES_MAX
    }

    fn append(&mut self, record: &[u8]) {
        if self.written + record.len() <= BYTES_MAX || self.write_anew() {
            self.write(record);
        }
    }

    /// What is not needed any more goes. Being killed just here costs what was kept, and nothing else.
    fn write_anew(&mut self) -> bool {
        if self.file.cut(0).is_err() {
            return false;
        }
        self.written = 0;
        let kept: Vec<u8> = self.kept.values().flatten().copied().collect();
        self.write(&kept);
        true
    }

    /// A disk that takes nothing costs the journal, never the work. Of what it took half the rest goes again: nothing after
    /// half a record could be read.
    fn write(&mut self, bytes: &[u8]) {
        if self.file.write_all(bytes).is_ok() {
            self.written += bytes.len();
        } else if self.file.cut(self.written).is_err() {
            // Full of what cannot be read: it is written anew before the next record.
            self.written = BYTES_MAX;
        }
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(5 + content.len());
    record.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.push(kind);
    record.extend(content);
    record
}

/// What is left to tell, of the records of one life. The last record may be half of one.
fn read(mut content: &[u8]) -> Vec<SpanData> {
    let mut left: HashMap<Id, (u8, Written)> = HashMap::new();
    let mut last = 0;
    while let Some((kind, body, rest)) = next(content) {
        content = rest;
        if kind == GONE {
            body.chunks_exact(8).filter_map(|id| id.try_into().ok()).for_each(|id: Id| drop(left.remove(&id)));
        } else if let Ok(span) = Written::decode(body)
            && let Ok(id) = Id::try_from(&*span.span_id)
        {
            last = last.max(span.start_time_unix_nano).max(span.end_time_unix_nano);
            left.insert(id, (kind, span));
        }
    }
    left.into_values().filter_map(|(kind, span)| span::read(span, (kind == BEGUN).then_some(last))).collect()
}

fn next(content: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, rest) = content.split_first_chunk()?;
    let (kind, rest) = rest.split_first()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((*kind, body, rest))
}

#[cfg(test)]
mod tests;
