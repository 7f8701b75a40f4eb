//! Spans from the wire: each has its bounds, and is refused by its field.

use std::{ops::RangeInclusive, time::Duration};

use holdfast_rpc::{Error, time};

use crate::{
    config::{Namespace, TTL_MAX, TTL_MIN},
    domain::Micros,
};

/// When a record expires that is written now.
///
/// # Errors
/// INVALID_ARGUMENT.
pub(in crate::grpc) fn expiry(
    ttl: Option<&prost_types::Duration>,
    namespace: Option<&Namespace>,
    now: Micros,
    field: &str,
) -> Result<Option<Micros>, Error> {
    let ttl = match ttl {
        Some(_) => within(ttl, field, TTL_MIN..=TTL_MAX)?,
        None => namespace.and_then(|settings| settings.ttl).map(|ttl| *ttl),
    };
    Ok(ttl.map(|ttl| now.saturating_add(Micros::try_from(ttl.as_micros()).unwrap_or(Micros::MAX))))
}

/// How old an answer may be; `None` where it is to be current.
///
/// # Errors
/// INVALID_ARGUMENT.
pub(in crate::grpc) fn staleness(given: Option<prost_types::Duration>) -> Result<Option<Duration>, Error> {
    let Some(given) = given else { return Ok(None) };
    time::span(&given).map(Some).ok_or_else(|| Error::invalid("max_staleness", "is negative or malformed"))
}

/// A span, where one is given.
///
/// # Errors
/// INVALID_ARGUMENT where it is malformed or out of bounds.
pub(in crate::grpc) fn within(
    given: Option<&prost_types::Duration>,
    field: &str,
    bounds: RangeInclusive<Duration>,
) -> Result<Option<Duration>, Error> {
    let Some(given) = given else { return Ok(None) };
    let (least, most) = (bounds.start().as_secs(), bounds.end().as_secs());
    match time::span(given) {
        Some(span) if bounds.contains(&span) => Ok(Some(span)),
        _ => Err(Error::invalid(field, format!("is not between {least} s and {most} s"))),
    }
}
