//! Which fields of spans stand in log lines. Spans have many for traces; formatting each of them for every call, for a line
//! that is hardly ever written, costs more than the rest of a span, and buries what people look for.

use std::fmt;

use tracing::{
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FormatFields, FormattedFields,
        format::{DefaultVisitor, JsonFields, JsonVisitor, Writer},
    },
};

/// The beginnings of the names that are for traces alone.
const FOR_TRACES: [&str; 10] = [
    "otel.",
    "rpc.system",
    "rpc.service",
    "rpc.grpc",
    "gen_ai.operation",
    "gen_ai.provider",
    "gen_ai.response",
    "gen_ai.tool.type",
    "gen_ai.usage",
    "holdfast.",
];

fn is_shown(field: &Field) -> bool {
    !FOR_TRACES.iter().any(|beginning| field.name().starts_with(beginning))
}

/// Formats the fields that people read, as text.
#[derive(Debug, Default)]
pub(crate) struct Text;

/// The same as JSON.
#[derive(Debug, Default)]
pub(crate) struct Json(JsonFields);

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = DefaultVisitor::new(writer, true);
        fields.record(&mut Only(&mut visitor));
        visitor.finish()
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        if !shows(fields) {
            return Ok(());
        }
        if !current.fields.is_empty() {
            current.fields.push(' ');
        }
        self.format_fields(current.as_writer(), fields)
    }
}

impl<'w> FormatFields<'w> for Json {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = JsonVisitor::new(&mut writer);
        fields.record(&mut Only(&mut visitor));
        visitor.finish()
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        if !shows(fields) {
            return Ok(());
        }
        // The library's own knows how to add to an object.
        let mut object = FormattedFields::<JsonFields>::new(std::mem::take(&mut current.fields));
        let added = self.0.add_fields(&mut object, fields);
        current.fields = object.fields;
        added
    }
}

/// Whether any of these fields is shown.
fn shows(fields: &Record<'_>) -> bool {
    struct Any(bool);
    impl Visit for Any {
        fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
            self.0 |= is_shown(field);
        }
    }
    let mut any = Any(false);
    fields.record(&mut any);
    any.0
}

/// Shows a visitor what is not for traces alone.
struct Only<'v>(&'v mut dyn Visit);

macro_rules! pass_on {
    ($($name:ident: $value:ty),*) => {
        $(fn $name(&mut self, field: &Field, value: $value) {
            if is_shown(field) {
                self.0.$name(field, value);
            }
        })*
    };
}

impl Visit for Only<'_> {
    pass_on! {
        record_f64: f64,
        record_i64: i64,
        record_u64: u64,
        record_i128: i128,
        record_u128: u128,
        record_bool: bool,
        record_str: &str,
        record_bytes: &[u8],
        record_error: &(dyn std::error::Error + 'static),
        record_debug: &dyn fmt::Debug
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{field, info, info_span, subscriber::with_default};
    use tracing_subscriber::{Layer, fmt, layer::SubscriberExt as _, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(layer: impl FnOnce(Paper) -> Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>) -> String {
        let paper = Paper::default();
        with_default(registry().with(layer(paper.clone())), || {
            let span = info_span!(
                "rpc",
                otel.name = "canary",
                trace_id = field::Empty,
                rpc.method = "Run",
                rpc.grpc.status_code = field::Empty
            );
            span.record("trace_id", "abc");
            span.record("rpc.grpc.status_code", 7);
            span.in_scope(|| info!(answer = 42, "done"));
        });
        let bytes = paper.0.lock().expect("nobody panics with it").clone();
        String::from_utf8(bytes).expect("it is text")
    }

    #[test]
    fn a_line_has_what_people_look_for() {
        let line =
            written(|paper| fmt::layer().with_ansi(false).fmt_fields(Text).with_writer(move || paper.clone()).boxed());
        assert!(line.contains("rpc{rpc.method=\"Run\" trace_id=\"abc\"}"), "{line}");
        assert!(line.contains("done answer=42"), "{line}");
        assert!(!line.contains("canary") && !line.contains("status_code"), "{line}");
    }

    #[test]
    fn a_line_of_json_has_the_same() {
        let line = written(|paper| {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(true);
            layer.fmt_fields(Json::default()).with_writer(move || paper.clone()).boxed()
        });
        let line: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!((&line["answer"], &line["message"]), (&42.into(), &"done".into()));
        let span = &line["spans"][0];
        assert_eq!((&span["rpc.method"], &span["trace_id"]), (&"Run".into(), &"abc".into()));
        assert!(span.get("otel.name").is_none() && span.get("rpc.grpc.status_code").is_none(), "{span}");
    }
}
