//! Each line of the README's table.

use serde_json::{Value, json};

use super::*;

const WAIT: Option<Duration> = Some(Duration::from_secs(7));

fn judged(status: u16, body: &Value) -> Failure {
    judge(status, WAIT, Told::read(body.to_string().as_bytes()))
}

fn error(error: Value) -> Value {
    json!({"error": error})
}

#[test]
fn a_limit_rests_the_key_as_long_as_was_said() {
    let limited = Failure::Limited { retry_after: WAIT };
    assert_eq!(judged(429, &json!({})), limited);
    assert_eq!(judged(429, &error(json!({"type": "rate_limit_error", "message": "slow down"}))), limited);
    assert_eq!(judged(429, &error(json!({"type": "tokens", "code": "rate_limit_exceeded"}))), limited);
    assert_eq!(judge(429, WAIT, Told::read(b"<html>slow down</html>")), limited);
}

#[test]
fn an_empty_account_is_the_key_s_fault() {
    for (status, body) in [
        (429, json!({"code": "insufficient_quota", "type": "insufficient_quota"})),
        (429, json!({"type": "insufficient_quota"})),
        (402, json!({})),
        (400, json!({"code": "billing_hard_limit_reached"})),
        (403, json!({"type": "billing_error"})),
        (400, json!({"type": "invalid_request_error", "message": "Your credit balance is too low to access it."})),
    ] {
        let failure = judged(status, &error(body.clone()));
        assert!(matches!(failure, Failure::KeyDenied { status: told, .. } if told == status), "{body}: {failure:?}");
    }
}

#[test]
fn a_caller_s_own_words_do_not_take_a_key_away() {
    let quoted = json!({"message": "Invalid value: 'Your credit balance is too low'"});
    assert!(matches!(judged(400, &error(quoted)), Failure::Rejected { .. }));
}

#[test]
fn a_key_that_is_not_taken_is_told_apart_from_what_no_key_may() {
    let denied = |failure| matches!(failure, Failure::KeyDenied { .. });
    assert!(denied(judged(401, &json!({}))));
    let forbidden = |failure| matches!(failure, Failure::Forbidden { .. });
    assert!(forbidden(judged(403, &json!({}))));
    assert!(forbidden(judged(403, &error(json!({"type": "permission_error"})))));
    assert!(forbidden(judge(403, None, Told::read(b"Forbidden"))));
    for metadata in [json!({"reasons": ["violence"]}), json!({"flagged_input": "the caller's words"})] {
        let flagged = error(json!({"code": 403, "message": "flagged", "metadata": metadata}));
        assert_eq!(judged(403, &flagged), Failure::Rejected { field: None, message: "flagged".into() });
    }
    let moderated = error(json!({"code": "moderation", "message": "flagged"}));
    assert_eq!(judged(403, &moderated), Failure::Rejected { field: None, message: "flagged".into() });
    let region = error(json!({"code": "unsupported_country_region_territory", "type": "request_forbidden"}));
    assert_eq!(judged(403, &region), Failure::Unwell { status: 403, retry_after: WAIT });
    let page = judge(403, None, Told::read(b"  <!DOCTYPE html><title>Blocked</title>"));
    assert_eq!(page, Failure::Unwell { status: 403, retry_after: None });
    let model = error(json!({"code": "model_not_found", "message": "no access to model"}));
    assert_eq!(judged(403, &model), Failure::NoModel { message: "no access to model".into() });
}

#[test]
fn a_request_too_long_is_known_by_each_provider_s_words() {
    for (status, body) in [
        (400, error(json!({"code": "context_length_exceeded", "message": "x"}))),
        (400, error(json!({"message": "prompt is too long: 210000 tokens > 200000 maximum"}))),
        (400, error(json!({"message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2"}))),
        (
            400,
            json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400}),
        ),
        (400, error(json!({"type": "exceed_context_size_error", "code": 400}))),
        (413, error(json!({"type": "request_too_large"}))),
        (413, json!({})),
        (429, error(json!({"code": "rate_limit_exceeded", "message": "Request too large for gpt on tokens per min"}))),
    ] {
        let failure = judged(status, &body);
        assert!(matches!(failure, Failure::ContextLength { .. }), "{status} {body}: {failure:?}");
    }
}

#[test]
fn a_request_at_fault_is_refused_in_the_provider_s_words_and_names_the_field() {
    let refused = judged(400, &error(json!({"message": "no such thing", "param": "tools[0]", "code": null})));
    assert_eq!(refused, Failure::Rejected { field: Some("tools[0]".into()), message: "no such thing".into() });
    for (status, body, message) in [
        (422, json!({"detail": [{"msg": "extra inputs are not permitted"}]}), "extra inputs are not permitted"),
        (422, json!({"detail": "wrong"}), "wrong"),
        (400, json!({"error": "json: cannot unmarshal"}), "json: cannot unmarshal"),
        (400, json!({"message": "wrong", "request_id": "1"}), "wrong"),
        (409, json!(7), "status 409"),
        (400, error(json!({"message": ""})), "status 400"),
    ] {
        assert_eq!(judged(status, &body), Failure::Rejected { field: None, message: message.into() }, "{body}");
    }
}

#[test]
fn a_model_that_nobody_knows_is_the_deployment_s_fault() {
    for body in [
        json!({"error": "model 'x' not found"}),
        error(json!({"code": "DeploymentNotFound", "message": "model 'x' not found"})),
        error(json!({"type": "not_found_error", "message": "model 'x' not found"})),
    ] {
        assert_eq!(judged(404, &body), Failure::NoModel { message: "model 'x' not found".into() });
    }
}

#[test]
fn a_provider_that_is_not_well_says_when_to_come_back() {
    for status in [302, 407, 408, 425, 500, 502, 503, 529] {
        assert_eq!(judged(status, &json!({})), Failure::Unwell { status, retry_after: WAIT });
        assert_eq!(judge(status, WAIT, Told::read(b"<html>")), Failure::Unwell { status, retry_after: WAIT });
    }
    for status in [504, 524] {
        assert_eq!(judged(status, &json!({})), Failure::Broken { how: "took too long" });
    }
}

#[test]
fn an_error_that_comes_as_an_answer_is_known_by_its_number_or_name() {
    let said = |body: Value| judge_said(body.to_string().as_bytes());
    let unwell = |status| Some(Failure::Unwell { status, retry_after: None });
    let limited = Some(Failure::Limited { retry_after: None });
    assert_eq!(said(error(json!({"code": 429, "message": "slow"}))), limited);
    assert_eq!(said(error(json!({"code": "429"}))), limited);
    assert_eq!(said(error(json!({"type": "tokens", "code": "rate_limit_exceeded"}))), limited);
    assert_eq!(said(json!({"type": "error", "error": {"type": "rate_limit_error"}})), limited);
    assert_eq!(said(json!({"type": "error", "error": {"type": "overloaded_error"}})), unwell(529));
    assert_eq!(said(error(json!({"code": 502}))), unwell(502));
    assert_eq!(said(error(json!({"type": "server_error", "message": "oh"}))), unwell(500));
    assert_eq!(said(json!({"error": "the model stumbled"})), unwell(500));
    assert!(matches!(said(error(json!({"type": "authentication_error"}))), Some(Failure::KeyDenied { .. })));
    assert!(matches!(said(error(json!({"code": "context_length_exceeded"}))), Some(Failure::ContextLength { .. })));
    assert!(matches!(said(json!({"object": "error", "message": "bad", "code": 400})), Some(Failure::Rejected { .. })));
    assert_eq!(said(json!({"choices": [], "error": null})), None);
    assert_eq!(judge_said(b"<html>"), None);
}
