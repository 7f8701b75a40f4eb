use std::collections::HashMap;

use super::*;

const PAYLOAD_MAX: usize = 1_024;

fn spec() -> pb::InvocationSpec {
    let payload = pb::Payload { data: br#"{"a":1}"#.as_slice().into(), content_type: String::new() };
    pb::InvocationSpec { agent: "mail".into(), payload: Some(payload), ..Default::default() }
}

fn refused(change: impl FnOnce(&mut pb::InvocationSpec)) -> BadField {
    let mut spec = spec();
    change(&mut spec);
    check(Some(&spec), PAYLOAD_MAX).expect_err("it must be refused")
}

fn data(bytes: &[u8], content_type: &str) -> Option<pb::Payload> {
    Some(pb::Payload { data: bytes.to_vec().into(), content_type: content_type.into() })
}

#[test]
fn a_plain_submission_passes() {
    check(Some(&spec()), PAYLOAD_MAX).expect("nothing is wrong with it");
}

#[test]
fn each_refusal_names_its_field() {
    let far = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    let back = Some(Duration { seconds: -1, nanos: 0 });
    let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let policy = |policy: pb::RetryPolicy| move |spec: &mut pb::InvocationSpec| spec.retry_policy = Some(policy);
    let cases: Vec<(&str, BadField)> = vec![
        ("spec", check(None, PAYLOAD_MAX).expect_err("nothing is asked")),
        ("spec.agent", refused(|spec| spec.agent.clear())),
        ("spec.agent", refused(|spec| spec.agent = "a b".into())),
        ("spec.payload", refused(|spec| spec.payload = None)),
        ("spec.payload.data", refused(|spec| spec.payload = data(&[b'1'; PAYLOAD_MAX + 1], ""))),
        ("spec.payload.data", refused(|spec| spec.payload = data(b"{\"a\":", ""))),
        ("spec.payload.content_type", refused(|spec| spec.payload = data(b"x", "text/\nplain"))),
        ("spec.session", refused(|spec| spec.session = "s".repeat(513))),
        ("spec.idempotency_key", refused(|spec| spec.idempotency_key = "a\0".into())),
        ("spec.priority", refused(|spec| spec.priority = 101)),
        ("spec.not_before", refused(|spec| spec.not_before = far)),
        ("spec.deadline", refused(|spec| spec.deadline = far)),
        ("spec.not_before", refused(|spec| (spec.not_before, spec.deadline) = (at(60, 1), at(60, 1)))),
        (
            "spec.retry_policy.initial_backoff",
            refused(policy(pb::RetryPolicy { initial_backoff: back, ..Default::default() })),
        ),
        (
            "spec.retry_policy.backoff_multiplier",
            refused(policy(pb::RetryPolicy { backoff_multiplier: f64::NAN, ..Default::default() })),
        ),
        (
            "spec.retry_policy.backoff_multiplier",
            refused(policy(pb::RetryPolicy { backoff_multiplier: 100.5, ..Default::default() })),
        ),
        (
            "spec.retry_policy.non_retryable_reasons",
            refused(policy(pb::RetryPolicy { non_retryable_reasons: vec!["r".repeat(129)], ..Default::default() })),
        ),
        ("spec.labels", refused(|spec| spec.labels = HashMap::from([(String::new(), "x".into())]))),
        ("spec.labels", refused(|spec| spec.labels = HashMap::from([("n".into(), "v".repeat(1_025))]))),
        ("spec.parent_id", refused(|spec| spec.parent_id = "x".into())),
    ];
    for (field, refusal) in cases {
        assert_eq!(refusal.field, field, "{}", refusal.why);
    }
}

#[test]
fn the_gateway_refuses_nothing_that_the_queue_takes() {
    let mut spec = spec();
    spec.agent = "a".repeat(128);
    spec.session = "s".repeat(512);
    spec.idempotency_key = "k".repeat(512);
    spec.labels = (0..100).map(|number| (format!("{number:0>128}"), "v".repeat(1_024))).collect();
    spec.retry_policy = Some(pb::RetryPolicy {
        // How many are too many, the queue's configuration says.
        max_attempts: 5_000,
        backoff_multiplier: 100.0,
        non_retryable_reasons: vec!["r".repeat(128); 256],
        ..Default::default()
    });
    check(Some(&spec), PAYLOAD_MAX).expect("the queue decides");
}

#[test]
fn only_what_says_that_it_is_json_must_be_json() {
    for content_type in ["", "application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
        for broken in [b"{\"a\":".as_slice(), b"{} {}", b"", b"\"\xff\""] {
            let refusal = refused(|spec| spec.payload = data(broken, content_type));
            assert!(refusal.why.contains("is not JSON"), "{content_type} {broken:?}: {}", refusal.why);
        }
    }
    for content_type in ["text/plain", "application/octet-stream"] {
        let mut spec = spec();
        spec.payload = data(b"\xff{", content_type);
        check(Some(&spec), PAYLOAD_MAX).expect("other types are taken as they are");
    }
}

#[test]
fn a_payload_of_exactly_the_limit_passes() {
    let mut spec = spec();
    spec.payload = data(&[b'1'; PAYLOAD_MAX], "");
    check(Some(&spec), PAYLOAD_MAX).expect("the limit itself is allowed");
}

#[test]
fn deeply_nested_json_does_no_harm() {
    let deep = "[".repeat(400) + &"]".repeat(400);
    let mut spec = spec();
    spec.payload = data(deep.as_bytes(), "");
    // Taken or refused: what counts is that it returns.
    let _ = check(Some(&spec), PAYLOAD_MAX);
}

#[test]
fn agent_names_are_letters_digits_and_three_signs() {
    for name in ["a", "disputes", "Retail-desk_2.1", "9lives", &"x".repeat(AGENT_BYTES_MAX)] {
        assert!(is_agent_name(name), "{name}");
    }
    for name in ["", "-a", ".", "a/b", "ä", "a\n", &"x".repeat(AGENT_BYTES_MAX + 1)] {
        assert!(!is_agent_name(name), "{name:?}");
    }
}
