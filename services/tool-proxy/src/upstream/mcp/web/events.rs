//! An answer that comes as events, none of which may be larger than is taken.

use std::error::Error;
use std::{fmt, io};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::Response;
use rmcp::model::{ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::{Sse, SseStream};

use crate::upstream::mcp::answer::TOO_LARGE;

/// The events of an answer. One that is too large ends the call as if the server had said so: a broken stream would be taken
/// up again.
pub(super) fn read(
    response: Response,
    id: Option<RequestId>,
    bytes_max: usize,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let mut limit = Limit { bytes_max, event: 0, line: 0 };
    let bytes = response.bytes_stream().map(move |chunk| match chunk {
        Ok(chunk) if limit.admits(&chunk) => Ok(chunk),
        Ok(_) => Err(io::Error::other(TooLarge)),
        Err(error) => Err(io::Error::other(error.without_url())),
    });
    SseStream::from_bytes_stream(bytes)
        .map(move |event| match event {
            Err(SseError::Body(error)) if TooLarge::is_in(&*error) => Ok(refusal(id.clone())),
            event => event,
        })
        .boxed()
}

fn refusal(id: Option<RequestId>) -> Sse {
    let error = ServerJsonRpcMessage::error(ErrorData::internal_error(TOO_LARGE, None), id);
    // Plain data: it can always be written.
    Sse { data: serde_json::to_string(&error).ok(), ..Sse::default() }
}

/// Counts the bytes since the last empty line.
struct Limit {
    bytes_max: usize,
    event: usize,
    line: usize,
}

impl Limit {
    fn admits(&mut self, chunk: &[u8]) -> bool {
        chunk.iter().all(|byte| {
            self.event += 1;
            match byte {
                b'\n' if self.line == 0 => self.event = 0,
                b'\n' => self.line = 0,
                b'\r' => {}
                _ => self.line += 1,
            }
            self.event <= self.bytes_max
        })
    }
}

#[derive(Debug)]
struct TooLarge;

impl TooLarge {
    fn is_in(error: &(dyn Error + Send + Sync + 'static)) -> bool {
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.is_some_and(|inner| inner.is::<Self>())
    }
}

impl Error for TooLarge {}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TOO_LARGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_may_be_so_large_and_all_together_larger() {
        let admits = |chunks: &[&str]| {
            let mut limit = Limit { bytes_max: 10, event: 0, line: 0 };
            chunks.iter().all(|chunk| limit.admits(chunk.as_bytes()))
        };
        assert!(admits(&["data: 1\n\n", "data: 2\r\n\r", "\ndata: 3\n\n"]));
        assert!(!admits(&["data: 1", "2345\n\n"]));
        assert!(!admits(&["a:\r\n", "b:\r\n", "c:\r\n"]), "these are lines of one event");
    }
}
