//! What an MCP server's word says about the call and about the server's health.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Error as WebError;
use rmcp::ErrorData;
use rmcp::ServiceError;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ErrorCode};
use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::{HttpStatusError, StreamableHttpError};
use serde_json::{Value, json};

use super::super::Heard;
use super::Unmet;
use crate::domain::{JSON, Miss, Outcome};
use crate::egress::Refusal;

const TEXT: &str = "text/plain; charset=utf-8";

/// Our own words in place of an answer that was too large to be read.
pub(super) const TOO_LARGE: &str = "the answer is larger than may be taken";

/// With these a server refuses what it did not carry out; with any other it may have.
const UNREAD: [u16; 8] = [401, 404, 405, 406, 413, 415, 421, 429];

/// Of an error's words, for the log: a server may say a lot.
const WHY_CHARACTERS: usize = 300;

/// The answer in the mesh's form: structured content as it is, a single text as text or, where it is JSON, as JSON,
/// anything else as the list of blocks that MCP describes.
pub(super) fn read(response: CallToolResponse) -> Result<Heard, Miss> {
    match response {
        CallToolResponse::Complete(result) => {
            let outcome = if result.is_error == Some(true) { Outcome::ToolError } else { Outcome::Real };
            let (content, content_type) = content(result);
            Ok(Heard { outcome, content, content_type: content_type.into(), healthy: true })
        }
        CallToolResponse::InputRequired(_) => Ok(told(json!({
            "error": "input_required",
            "advice": "The tool asks for input of a person, which nobody can give here. Go on without it.",
        }))),
        // It was not asked to work on its own, and what it is doing now nobody will hear.
        _ => Err(Miss { passing: false, ..Miss::left("TASK_STARTED") }),
    }
}

/// An answer that is no larger than it may be, whichever way the tool gave it.
pub(super) fn within(bytes_max: usize, heard: Heard) -> Result<Heard, Miss> {
    if heard.content.len() > bytes_max { Err(Miss::too_large()) } else { Ok(heard) }
}

fn content(result: CallToolResult) -> (Bytes, &'static str) {
    if let Some(value) = result.structured_content {
        return (value.to_string().into(), JSON);
    }
    match <[ContentBlock; 1]>::try_from(result.content) {
        Ok([ContentBlock::Text(text)]) => {
            let json =
                serde_json::from_str::<Value>(&text.text).is_ok_and(|value| value.is_object() || value.is_array());
            (text.text.into(), if json { JSON } else { TEXT })
        }
        Ok(one) => (list(&one), JSON),
        Err(blocks) => (list(&blocks), JSON),
    }
}

fn list(blocks: &[ContentBlock]) -> Bytes {
    // Plain data: it can always be written.
    serde_json::to_vec(blocks).unwrap_or_default().into()
}

fn told(error: Value) -> Heard {
    Heard { outcome: Outcome::ToolError, content: error.to_string().into(), content_type: JSON.into(), healthy: true }
}

/// Why there is no result; or an error that is the tool's own answer.
pub(super) fn judge(error: ServiceError) -> Result<Heard, Miss> {
    match error {
        ServiceError::McpError(error) => spoken(&error),
        ServiceError::TransportSend(error) => Err(unsent(&error)),
        ServiceError::Timeout { .. } => Err(Miss::timeout()),
        ServiceError::TransportClosed | ServiceError::Cancelled { .. } => Err(broken()),
        _ => Err(Miss { passing: false, ..Miss::left("PROTOCOL") }),
    }
}

/// A JSON-RPC error. What the protocol keeps for servers that failed is a failure, and may have come after the effect;
/// a call that does not fit, and every code of the tool's own, is an answer.
fn spoken(error: &ErrorData) -> Result<Heard, Miss> {
    let code = error.code.0;
    let refused_unread = [
        ErrorCode::HEADER_MISMATCH,
        ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
    ];
    if error.code == ErrorCode::INTERNAL_ERROR && error.message == TOO_LARGE {
        Err(Miss::too_large())
    } else if refused_unread.contains(&error.code) {
        Err(Miss { left: false, ..Miss::left(format!("MCP_{code}")) })
    } else if error.code == ErrorCode::INTERNAL_ERROR || (-32_099..=-32_000).contains(&code) {
        Err(Miss::left(format!("MCP_{code}")))
    } else {
        Ok(told(json!({"error": {"code": code, "message": error.message, "data": error.data}})))
    }
}

/// The request was not sent, or no answer came to it.
fn unsent(error: &DynamicTransportError) -> Miss {
    let Some(error) = error.error.downcast_ref::<StreamableHttpError<WebError>>() else { return broken() };
    match error {
        StreamableHttpError::Client(error) if Refusal::behind(error).is_some() => Miss::kept("ADDRESS_REFUSED"),
        StreamableHttpError::Client(error) if error.is_connect() || error.is_builder() => Miss::unconnected(),
        StreamableHttpError::HttpStatus(status) => failed(status),
        StreamableHttpError::UnexpectedServerResponse(_) | StreamableHttpError::UnexpectedContentType(_) => {
            Miss { passing: false, ..Miss::left("PROTOCOL") }
        }
        StreamableHttpError::ResponseBodyTooLarge { .. } => Miss::too_large(),
        // The session was unknown, so the call was not looked at.
        StreamableHttpError::SessionExpired => Miss::unknown_session(),
        _ => broken(),
    }
}

fn broken() -> Miss {
    Miss::left("BROKEN").of_the_host()
}

fn failed(error: &HttpStatusError) -> Miss {
    let wait = error.retry_after.as_ref().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let left = !UNREAD.contains(&error.status);
    let miss = Miss { left, ..Miss::left(format!("HTTP_{}", error.status)) };
    let miss = if (502..=504).contains(&error.status) { miss.of_the_host() } else { miss };
    miss.come_back_in(wait)
}

/// Why no connection was made.
pub(super) fn unmet(error: &ClientInitializeError) -> Unmet {
    let nobody = match error {
        ClientInitializeError::TransportError { error, .. } => {
            matches!(error.error.downcast_ref(), Some(StreamableHttpError::<WebError>::Client(error)) if error.is_connect())
        }
        _ => false,
    };
    Unmet { why: whole(error), nobody }
}

/// The beginning of an error with its causes.
pub(super) fn whole(error: &dyn Error) -> String {
    let (mut causes, mut next) = (Vec::<String>::new(), Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        if causes.last().is_none_or(|last| !last.contains(&text)) {
            causes.push(text);
        }
        next = error.source();
    }
    causes.join(": ").chars().take(WHY_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use super::*;

    fn text(text: &str) -> ContentBlock {
        ContentBlock::text(text)
    }

    fn heard(result: CallToolResult) -> (Outcome, String, String) {
        let heard = read(CallToolResponse::Complete(result)).expect("it is small");
        (heard.outcome, heard.content_type, String::from_utf8(heard.content.to_vec()).expect("text"))
    }

    #[test]
    fn one_text_is_text_and_several_blocks_are_json() {
        let one = heard(CallToolResult::success(vec![text("Echo: x")]));
        assert_eq!(one, (Outcome::Real, TEXT.into(), "Echo: x".into()));
        let json = heard(CallToolResult::success(vec![text("{\"a\":1}")]));
        assert_eq!((json.1.as_str(), json.2.as_str()), (JSON, "{\"a\":1}"));
        let two = heard(CallToolResult::success(vec![text("a"), text("b")]));
        let list: Value = serde_json::from_str(&two.2).expect("JSON");
        assert_eq!((two.1.as_str(), &list[1]["text"]), (JSON, &json!("b")));
    }

    #[test]
    fn structured_content_is_the_answer_where_there_is_some() {
        let (_, kind, text) = heard(CallToolResult::structured(json!({"t": 21})));
        assert_eq!((kind.as_str(), text.as_str()), (JSON, "{\"t\":21}"));
    }

    #[test]
    fn an_error_of_the_tool_is_its_answer() {
        assert_eq!(heard(CallToolResult::error(vec![text("no such city")])).0, Outcome::ToolError);
        let heard = spoken(&ErrorData::invalid_params("unknown tool", None)).expect("an answer");
        assert_eq!((heard.outcome, heard.healthy), (Outcome::ToolError, true));
        assert!(spoken(&ErrorData::new(ErrorCode(17), "own code", None)).is_ok());
    }

    #[test]
    fn what_is_too_large_is_not_taken() {
        let response = CallToolResponse::Complete(CallToolResult::success(vec![text("12345")]));
        let refusal = ErrorData::new(ErrorCode(17), "12345", None);
        for heard in [read(response), judge(ServiceError::McpError(refusal))] {
            assert_eq!(within(4, heard.expect("an answer")).expect_err("too large"), Miss::too_large());
        }
    }

    #[test]
    fn a_server_that_failed_may_have_done_it_and_one_that_refused_has_not() {
        let failed = spoken(&ErrorData::internal_error("oops", None)).expect_err("a failure");
        assert_eq!((failed.reason.as_str(), failed.left, failed.passing), ("MCP_-32603", true, true));
        let unread = spoken(&ErrorData::header_mismatch("no", None)).expect_err("a failure");
        assert!(!unread.left);
        let large = spoken(&ErrorData::internal_error(TOO_LARGE, None)).expect_err("a failure");
        assert_eq!(large, Miss::too_large());
    }

    #[test]
    fn only_what_the_server_says_it_never_read_has_not_left() {
        let unsent = |error: StreamableHttpError<WebError>| {
            let miss = unsent(&DynamicTransportError::from_parts("web", TypeId::of::<()>(), Box::new(error)));
            (miss.reason.clone(), miss.left)
        };
        let status = |status| StreamableHttpError::HttpStatus(HttpStatusError::new(status, Some("7".into())));
        assert_eq!(unsent(StreamableHttpError::SessionExpired), ("SESSION".into(), false));
        let left: Vec<u16> = (300..600).filter(|code| unsent(status(*code)).1).collect();
        let kept: Vec<u16> = (300..600).filter(|code| !left.contains(code)).collect();
        assert_eq!(kept, UNREAD);
        assert!([302, 307, 400, 403, 408, 409, 422, 425, 499, 500, 503].iter().all(|code| left.contains(code)));
        assert_eq!(unsent(status(503)), ("HTTP_503".into(), true));
        let text = |text: &'static str| StreamableHttpError::UnexpectedServerResponse(text.into());
        assert_eq!(unsent(text("HTTP 404 Not Found: x")), ("PROTOCOL".into(), true));
        assert_eq!(unsent(StreamableHttpError::SessionRecoveryTimeout), ("BROKEN".into(), true));
        assert_eq!(unsent(StreamableHttpError::UnexpectedEndOfStream), ("BROKEN".into(), true));
    }
}
