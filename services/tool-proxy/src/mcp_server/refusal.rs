//! Errors in the words of JSON-RPC.

use holdfast_rpc::Error;
use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use serde_json::{Map, Value, json};
use tonic::Code;

/// What a client is told: invalid params name the field; everything else keeps gRPC's number, which JSON-RPC leaves free. The
/// data say what a gRPC status says in its details.
pub(super) fn tell(error: &Error) -> ErrorData {
    let code = match error.code() {
        // There is no such tool: the name is a parameter like any other.
        Code::InvalidArgument | Code::NotFound => ErrorCode::INVALID_PARAMS,
        Code::Internal => ErrorCode::INTERNAL_ERROR,
        other => ErrorCode(other as i32),
    };
    let mut data = Map::new();
    data.insert("reason".into(), error.reason().into());
    data.insert("mayHaveHappened".into(), error.may_have_happened().into());
    if let Some(field) = error.field() {
        data.insert("field".into(), field.into());
    }
    if let Some(wait) = error.retry_after() {
        data.insert("retryAfterMs".into(), json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
    }
    ErrorData::new(code, error.to_string(), Some(Value::Object(data)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bad_input_is_invalid_params_by_its_field() {
        let told = tell(&Error::invalid("arguments/to", "is missing"));
        assert_eq!(told.code, ErrorCode::INVALID_PARAMS);
        assert_eq!(told.data.expect("data")["field"], "arguments/to");
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_whether_anything_happened() {
        let told =
            tell(&Error::unavailable("the state service is away", Duration::from_millis(1_500)).maybe_happened());
        assert_eq!(told.code, ErrorCode(14));
        let expected = json!({"reason": "UNAVAILABLE", "mayHaveHappened": true, "retryAfterMs": 1_500});
        assert_eq!(told.data, Some(expected));
    }
}
