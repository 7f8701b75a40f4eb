//! What a message of `tools/call` asks for. Where MCP has no word for it, `_meta` has a key.

use holdfast_proto::tool::v1::CallToolRequest;
use holdfast_rpc::{Caller, Error, Role};
use holdfast_telemetry::traceparent;
use rmcp::model::{CallToolRequestParams, RequestMetaObject};
use serde_json::Value;

/// The call's place in its invocation, under a lease.
const STEP: &str = "holdfast/step";
const INDEX: &str = "holdfast/index";
/// The caller's own key for the call's record, outside of an invocation.
const IDEMPOTENCY_KEY: &str = "holdfast/idempotencyKey";

/// The call that a message asks for.
///
/// # Errors
/// INVALID_ARGUMENT naming the key in `_meta`; PERMISSION_DENIED for who may submit work but not do it.
pub(super) fn read(
    caller: &Caller,
    params: CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Result<CallToolRequest, Error> {
    if caller.role == Role::Caller {
        return Err(Error::permission_denied("the role caller may list tools and not call them"));
    }
    let arguments = params.arguments.map_or_else(String::new, |arguments| Value::Object(arguments).to_string());
    let step = number(meta, STEP)?;
    if caller.lease.is_some() && step.is_none() {
        // Two calls of one invocation would be taken for the same one.
        return Err(invalid(STEP, "is needed under a lease: the number of the step that calls"));
    }
    Ok(CallToolRequest {
        tool: params.name.into_owned(),
        arguments: arguments.into(),
        step: step.unwrap_or_default(),
        index: number(meta, INDEX)?.unwrap_or_default(),
        idempotency_key: text(meta, IDEMPOTENCY_KEY)?.unwrap_or_default(),
    })
}

/// The trace that a message names, where it does so well; what else it writes there goes no further.
pub(super) fn traceparent(meta: &RequestMetaObject) -> Option<String> {
    meta.get_traceparent().and_then(traceparent::parse).map(|named| traceparent::format(&named))
}

fn number(meta: &RequestMetaObject, key: &str) -> Result<Option<u32>, Error> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let wrong = || invalid(key, "must be a whole number from 0 to 4294967295");
    meta.get(key).map(|value| number(value).ok_or_else(wrong)).transpose()
}

fn text(meta: &RequestMetaObject, key: &str) -> Result<Option<String>, Error> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    meta.get(key).map(|value| text(value).ok_or_else(|| invalid(key, "must be text"))).transpose()
}

fn invalid(key: &str, why: &str) -> Error {
    Error::invalid(format!("_meta/{key}"), why)
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::lease::LeaseToken;
    use rmcp::model::MetaObject;
    use serde_json::json;
    use tonic::Code;

    use super::*;

    fn meta(value: Value) -> RequestMetaObject {
        match value {
            Value::Object(object) => RequestMetaObject(MetaObject(object)),
            _ => RequestMetaObject::new(),
        }
    }

    fn of(role: Role, leased: bool, given: Value) -> Result<CallToolRequest, Error> {
        let mut caller = Caller::of_tenant("acme", role, "shop");
        caller.lease = leased.then(LeaseToken::default);
        read(&caller, CallToolRequestParams::new("find"), &meta(given))
    }

    #[test]
    fn the_place_in_the_invocation_comes_from_meta() {
        let call = of(Role::Worker, true, json!({STEP: 3, INDEX: 1})).expect("it is well said");
        assert_eq!((call.tool.as_str(), call.step, call.index), ("find", 3, 1));
        let call = of(Role::Operator, false, json!({IDEMPOTENCY_KEY: "k"})).expect("it is well said");
        assert_eq!((call.step, call.idempotency_key.as_str()), (0, "k"));
    }

    #[test]
    fn what_is_ill_said_in_meta_is_named() {
        for (given, field) in [
            (json!({STEP: -1}), "_meta/holdfast/step"),
            (json!({STEP: 1, INDEX: "1"}), "_meta/holdfast/index"),
            (json!({STEP: 1, IDEMPOTENCY_KEY: 5}), "_meta/holdfast/idempotencyKey"),
            (json!({}), "_meta/holdfast/step"),
        ] {
            let refused = of(Role::Worker, true, given).expect_err(field);
            assert_eq!((refused.code(), refused.field()), (Code::InvalidArgument, Some(field)));
        }
    }

    #[test]
    fn who_may_only_submit_calls_no_tool() {
        assert_eq!(of(Role::Caller, false, json!({})).expect_err("a caller").code(), Code::PermissionDenied);
    }

    #[test]
    fn only_a_real_traceparent_counts() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for given in [good.to_owned(), format!("{good}-{}", "x".repeat(8_000))] {
            assert_eq!(traceparent(&meta(json!({"traceparent": given}))).as_deref(), Some(good));
        }
        assert_eq!(traceparent(&meta(json!({"traceparent": "x"}))), None);
    }
}
