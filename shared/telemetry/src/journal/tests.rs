use std::{io::Write, sync::Arc};

use opentelemetry::{Context, trace::Tracer as _};
use opentelemetry::{
    KeyValue,
    trace::{SpanContext, SpanId, Status, TraceContextExt as _, TraceId, TracerProvider as _},
};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::*;

/// A span that has begun, with an attribute.
fn open_span(provider: &SdkTracerProvider, name: &'static str) -> Span {
    let tracer = provider.tracer("holdfast");
    let span = tracer.span_builder(name).with_attributes([KeyValue::new("tokens", 7)]);
    let above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let above = crate::traceparent::parse(above).expect("a traceparent");
    tracer.build_with_context(span, &Context::new().with_remote_span_context(above))
}

fn data(span: &Span) -> SpanData {
    span.exported_data().expect("it is recorded")
}

fn id(span: &SpanData) -> Id {
    span.span_context.span_id().to_bytes()
}

/// The journal's next life, and what it was left.
fn next_life(directory: &Path) -> (Journal, Vec<SpanData>) {
    Journal::open(directory, "test").expect("the directory can be written")
}

#[test]
fn the_next_life_tells_what_had_begun_and_what_was_not_exported() {
    let (directory, provider) = (tempfile::tempdir().expect("a directory"), SdkTracerProvider::default());
    let (journal, left) = next_life(directory.path());
    assert!(left.is_empty());
    let [begun, ended, exported] = ["begun", "ended", "exported"].map(|name| open_span(&provider, name));
    [&begun, &ended, &exported].into_iter().for_each(|span| journal.begun(span));
    [&ended, &exported].into_iter().for_each(|span| journal.ended(&data(span)));
    journal.gone([id(&data(&exported))].into_iter());
    drop(journal);

    let (journal, mut left) = next_life(directory.path());
    left.sort_by(|one, other| one.name.cmp(&other.name));
    let [cut, whole] = &left[..] else { panic!("two were left: {left:?}") };
    assert_eq!((&*cut.name, &cut.status), ("begun", &Status::error("")));
    assert!(cut.attributes.contains(&KeyValue::new("error.type", "PROCESS_LOST")), "{cut:?}");
    assert_eq!((&*whole.name, &whole.status), ("ended", &Status::Unset));
    for (told, made) in [(cut, data(&begun)), (whole, data(&ended))] {
        assert_eq!(told.span_context.trace_id(), TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap());
        assert_eq!(told.span_context.span_id(), made.span_context.span_id());
        assert_eq!(told.parent_span_id, SpanId::from_hex("b7ad6b7169203331").unwrap());
        assert!(told.span_context.is_sampled() && told.parent_span_is_remote);
        assert!(told.attributes.contains(&KeyValue::new("tokens", 7)), "{told:?}");
    }
    drop(journal);
    assert!(next_life(directory.path()).1.is_empty(), "it is told once");
}

#[test]
fn processes_that_live_do_not_tell_each_others_spans() {
    let (directory, provider) = (tempfile::tempdir().expect("a directory"), SdkTracerProvider::default());
    let (first, _) = next_life(directory.path());
    first.begun(&open_span(&provider, "of the first"));
    let (second, left) = next_life(directory.path());
    assert!(left.is_empty(), "the first still lives: {left:?}");
    second.begun(&open_span(&provider, "of the second"));
    drop((first, second));
    assert_eq!(next_life(directory.path()).1.len(), 2, "whoever comes next tells both");
}

#[test]
fn half_a_record_costs_no_other() {
    let (directory, provider) = (tempfile::tempdir().expect("a directory"), SdkTracerProvider::default());
    let (journal, _) = next_life(directory.path());
    journal.begun(&open_span(&provider, "whole"));
    journal.begun(&open_span(&provider, "half"));
    drop(journal);
    let path = directory.path().join("test-spans-0");
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() - 3]).unwrap();
    let left = next_life(directory.path()).1;
    assert_eq!(left.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["whole"]);
}

#[test]
fn the_file_stays_small_whatever_passes_through() {
    let (directory, provider) = (tempfile::tempdir().expect("a directory"), SdkTracerProvider::default());
    let (journal, _) = next_life(directory.path());
    journal.begun(&open_span(&provider, "stays open"));
    for _ in 0..40_000 {
        let span = data(&open_span(&provider, "passes"));
        journal.ended(&span);
        journal.gone([id(&span)].into_iter());
    }
    let path = directory.path().join("test-spans-0");
    assert!(fs::metadata(path).unwrap().len() <= BYTES_MAX as u64);
    drop(journal);
    let left = next_life(directory.path()).1;
    assert_eq!(left.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["stays open"]);
}

#[test]
fn what_is_not_recorded_is_not_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, _) = next_life(directory.path());
    let nobody = Context::new().with_remote_span_context(SpanContext::empty_context());
    let off = SdkTracerProvider::builder().with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff).build();
    let tracer = off.tracer("holdfast");
    journal.begun(&tracer.build_with_context(tracer.span_builder("unseen"), &nobody));
    drop(journal);
    assert!(next_life(directory.path()).1.is_empty());
}

/// A file in memory that counts how often it is emptied, and takes no more than fits.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    emptied: usize,
    room: Option<usize>,
    /// What was taken cannot be taken away.
    stuck: bool,
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.0.lock().unwrap();
        let fits = content.room.map_or(bytes.len(), |room| bytes.len().min(room - content.bytes.len()));
        content.bytes.extend(&bytes[..fits]);
        // A full disk takes half a record, and only then says so.
        if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Memory {
    fn cut(&mut self, bytes: usize) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        if content.stuck {
            return Err(io::ErrorKind::Other.into());
        }
        content.emptied += usize::from(bytes == 0);
        content.bytes.truncate(bytes);
        Ok(())
    }
}

impl Memory {
    /// What a next life would be told, by name.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            read(&self.0.lock().unwrap().bytes).iter().map(|span| span.name.clone().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn however_large_open_spans_are_the_file_is_seldom_written_anew() {
    let (memory, provider) = (Memory::default(), SdkTracerProvider::default());
    let journal = Journal::new(Box::new(memory.clone()));
    for _ in 0..2_000 {
        let mut large = data(&open_span(&provider, "large"));
        large.attributes.push(KeyValue::new("text", "x".repeat(8 << 10)));
        journal.keep(BEGUN, large);
    }
    let kept = journal.book.lock().unwrap().kept.len();
    assert!((200..2_000).contains(&kept), "as many as have room: {kept}");

    let (mut passed, before) = (0, memory.0.lock().unwrap().emptied);
    for _ in 0..20_000 {
        let span = data(&open_span(&provider, "passes"));
        let bytes = || memory.0.lock().unwrap().bytes.len();
        let length = bytes();
        journal.ended(&span);
        journal.gone([id(&span)].into_iter());
        passed += bytes().saturating_sub(length);
    }
    let anew = memory.0.lock().unwrap().emptied - before;
    assert!(anew <= 1 + passed / (BYTES_MAX / 2), "{anew} times for {passed} bytes");
    assert!(memory.0.lock().unwrap().bytes.len() <= BYTES_MAX);
    assert_eq!(memory.names().len(), kept, "those that are open are still kept");
}

#[test]
fn half_a_record_on_a_full_disk_hides_none_that_comes_later() {
    for stuck in [false, true] {
        let (memory, provider) = (Memory::default(), SdkTracerProvider::default());
        let journal = Journal::new(Box::new(memory.clone()));
        journal.begun(&open_span(&provider, "before"));
        {
            let mut content = memory.0.lock().unwrap();
            (content.room, content.stuck) = (Some(content.bytes.len() + 20), stuck);
        }
        journal.begun(&open_span(&provider, "without room"));
        assert_eq!(memory.names(), ["before"]);
        {
            let mut content = memory.0.lock().unwrap();
            (content.room, content.stuck) = (None, false);
        }
        journal.begun(&open_span(&provider, "later"));
        let told = memory.names();
        assert!(told.starts_with(&["before".into(), "later".into()]), "stuck: {stuck}: {told:?}");
    }
}

#[test]
fn a_process_that_ends_in_order_leaves_an_empty_file() {
    let (directory, provider) = (tempfile::tempdir().expect("a directory"), SdkTracerProvider::default());
    let (journal, _) = next_life(directory.path());
    let span = data(&open_span(&provider, "exported"));
    journal.ended(&span);
    journal.gone([id(&span)].into_iter());
    let path = directory.path().join("test-spans-0");
    assert!(fs::metadata(&path).unwrap().len() > 0, "it was written");
    journal.end();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);

    journal.begun(&open_span(&provider, "never ended"));
    journal.end();
    drop(journal);
    assert_eq!(next_life(directory.path()).1.len(), 1, "what could not be exported is told all the same");
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test-spans-0");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _earlier = next_life(directory.path());
    let _new = next_life(directory.path());
    for number in 0..2 {
        let path = directory.path().join(format!("test-spans-{number}"));
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
