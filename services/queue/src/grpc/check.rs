//! Checks of single fields, each refusal by the field's name.

use std::time::Duration;

use holdfast_config::Size;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::{Error, time};

use crate::domain::invocation::{Payload, Usage};
use crate::domain::time::Micros;

/// Names: of agents, workers, tenants.
const NAME_BYTES_MAX: usize = 128;
/// Sessions and idempotency keys.
const KEY_BYTES_MAX: usize = 512;
/// A content type.
const CONTENT_TYPE_BYTES_MAX: usize = 256;
/// The longest delay between two attempts.
const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

pub(super) fn payload_of(field: &'static str, payload: pb::Payload, max: Size) -> Result<Payload, Error> {
    size(field, payload.data.len(), max)?;
    Ok(Payload { content_type: text(field, payload.content_type, CONTENT_TYPE_BYTES_MAX)?, data: payload.data })
}

pub(super) fn usage(usage: Option<pb::Usage>) -> Usage {
    // What no database can hold is nobody's true count.
    let bounded = |tokens: u64| tokens.min(i64::MAX as u64);
    let usage = usage.unwrap_or_default();
    Usage { input_tokens: bounded(usage.input_tokens), output_tokens: bounded(usage.output_tokens) }
}

pub(super) fn size(field: &'static str, bytes: usize, max: Size) -> Result<(), Error> {
    if bytes > max.bytes() {
        return Err(Error::invalid(field, format!("has {bytes} bytes; at most {max} are taken")));
    }
    Ok(())
}

pub(super) fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), Error> {
    if count > max {
        return Err(Error::invalid(field, format!("has {count} entries; at most {max} are taken")));
    }
    Ok(())
}

pub(super) fn name<'t>(field: &'static str, text: &'t str) -> Result<&'t str, Error> {
    match text {
        "" => Err(Error::invalid(field, "is missing")),
        text => plain(field, text, NAME_BYTES_MAX).map(|()| text),
    }
}

pub(super) fn optional_key(field: &'static str, text: String) -> Result<Option<String>, Error> {
    plain(field, &text, KEY_BYTES_MAX)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

pub(super) fn text(field: &'static str, text: String, bytes_max: usize) -> Result<String, Error> {
    plain(field, &text, bytes_max)?;
    Ok(text)
}

pub(super) fn plain(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.len() > bytes_max {
        return Err(Error::invalid(field, format!("must be at most {bytes_max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must not have control characters"));
    }
    Ok(())
}

pub(super) fn optional_time(
    field: &'static str,
    time: Option<prost_types::Timestamp>,
) -> Result<Option<Micros>, Error> {
    let micros = |time| time::micros(&time).ok_or_else(|| Error::invalid(field, "is not a time"));
    time.map(micros).transpose()
}

pub(super) fn span_of(field: &'static str, span: &prost_types::Duration) -> Result<Duration, Error> {
    let span = time::span(span).ok_or_else(|| Error::invalid(field, "is not a span of time"))?;
    if span > SPAN_MAX {
        return Err(Error::invalid(field, "must be at most a year"));
    }
    Ok(span)
}
