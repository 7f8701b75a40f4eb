//! Calls by method and code. To look a counter up by its labels costs more than to count: each method keeps its own.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::RwLock;
use tonic::Code;

/// What callers see, for each method that has been called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    methods: Arc<RwLock<HashMap<String, Method>>>,
}

struct Method {
    seconds: Histogram,
    /// By code; a counter that has never counted is not shown.
    codes: [OnceLock<Counter>; CODES],
}

/// The whole mesh has fewer.
const METHODS_MAX: usize = 256;
/// No method's name is longer.
const NAME_BYTES_MAX: usize = 128;
/// gRPC has the codes 0 to 16.
const CODES: usize = 17;

impl Calls {
    /// A call of this method has ended.
    pub(crate) fn ended(&self, method: &str, code: Code, took: Duration) {
        // Paths that nobody serves share one label, so that strangers cannot make new ones.
        let method = if code == Code::Unimplemented { "unknown" } else { method.trim_start_matches('/') };
        if let Some(known) = self.methods.read().get(method) {
            return known.ended(method, code, took);
        }
        let mut methods = self.methods.write();
        // A name that comes from somebody whom nobody knows, and one beyond all that are served, are not kept either. To
        // strangers every other layer is closed, so they get no other code.
        let kept = code != Code::Unauthenticated && methods.len() < METHODS_MAX && method.len() <= NAME_BYTES_MAX;
        let method = if kept { method } else { "unknown" };
        methods.entry(method.to_owned()).or_insert_with(|| Method::new(method)).ended(method, code, took);
    }
}

impl Method {
    fn new(method: &str) -> Self {
        let seconds = histogram!("holdfast_request_seconds", "method" => method.to_owned());
        Self { seconds, codes: Default::default() }
    }

    fn ended(&self, method: &str, code: Code, took: Duration) {
        let count =
            || counter!("holdfast_requests_total", "method" => method.to_owned(), "code" => format!("{code:?}"));
        self.codes[code as usize].get_or_init(count).increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Method")
    }
}

/// Help texts of the metrics that every server has.
pub(crate) fn describe() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!("holdfast_requests_total", Unit::Count, "Calls answered, by method and gRPC code.");
    describe_histogram!("holdfast_request_seconds", Unit::Seconds, "From a call's arrival to the end of its answer.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_make_no_new_names() {
        let calls = Calls::default();
        let took = Duration::from_millis(1);
        calls.ended("/a.B/C", Code::Ok, took);
        calls.ended("/a.B/C", Code::Unauthenticated, took);
        for number in 0..10_000 {
            calls.ended(&format!("/made.Up/{number}"), Code::Unauthenticated, took);
        }
        assert_eq!(calls.methods.read().len(), 2, "the one that is served, and all that are not known");
        for number in 0..10_000 {
            calls.ended(&format!("/made.Up/{number}"), Code::InvalidArgument, took);
        }
        assert!(calls.methods.read().len() <= METHODS_MAX);
    }

    #[test]
    fn a_name_that_is_longer_than_any_that_is_served_is_not_kept() {
        let calls = Calls::default();
        for number in 0..10 {
            let code = Code::InvalidArgument;
            calls.ended(&format!("/made.Up/{number}{}", "x".repeat(8_000)), code, Duration::from_millis(1));
        }
        assert_eq!(calls.methods.read().keys().collect::<Vec<_>>(), ["unknown"]);
    }
}
