//! Writes answers to the wire: as server-sent events, or cut off where a fault wants it.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde_json::Value;

use super::{answer::Piece, key::Place};

/// An answer piece by piece; `cut` breaks it off after so many.
pub(crate) fn stream(place: Place, pieces: Vec<Piece>, per_token: Duration, cut: Option<usize>) -> Response {
    let left = cut.map_or(pieces.len(), |after| after.min(pieces.len()));
    let state = (pieces.into_iter(), Some(place), left);
    let events = stream::unfold(state, move |(mut pieces, mut place, left)| async move {
        if left == 0 && pieces.len() > 0 {
            drop(place.take()?);
            return Some((Err(cut_off().await), (pieces, None, left)));
        }
        let Some(piece) = pieces.next() else {
            // Free before the last bytes go out: who has the answer may come again at once.
            let place = place.take()?;
            place.answered();
            return Some((Ok(Bytes::from_static(b"data: [DONE]\n\n")), (pieces, None, left)));
        };
        tokio::time::sleep(per_token.saturating_mul(piece.tokens.try_into().unwrap_or(u32::MAX))).await;
        if let Some(place) = &place {
            place.write(piece.tokens);
        }
        let event = Bytes::from(format!("data: {}\n\n", piece.json));
        Some((Ok(event), (pieces, place, left - 1)))
    });
    let mut response = Body::from_stream(events).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// The first half of a whole answer, and then nothing.
pub(crate) fn half(place: Place, whole: &Value) -> Response {
    let mut text = whole.to_string().into_bytes();
    text.truncate(text.len() / 2);
    let head = stream::once(async { Ok(Bytes::from(text)) });
    let end = stream::once(async move {
        drop(place);
        Err(cut_off().await)
    });
    let mut response = Body::from_stream(head.chain(end)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The error that closes the connection, once what was written before it is on its way.
pub(crate) async fn cut_off() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other("cut off by a fault")
}
