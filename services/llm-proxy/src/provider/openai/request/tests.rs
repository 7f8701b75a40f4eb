use crate::{domain::Ask, provider::http::Question};

fn body(fields: &str, streamed: bool, completion_tokens: bool) -> String {
    with_options(fields, "{}", streamed, completion_tokens)
}

fn with_options(fields: &str, options: &str, streamed: bool, completion_tokens: bool) -> String {
    let object = |text: &str| serde_json::from_str(text).expect("an object");
    let ask = Ask { fields: object(fields), stream_options: object(options), ..Ask::default() };
    let question = Question { ask: &ask, model: "up/stream", max_output_tokens: Some(7), streamed };
    String::from_utf8(super::body(question, completion_tokens)).expect("text")
}

#[test]
fn fields_pass_byte_for_byte() {
    let fields = r#"{"a":1.50,"messages":[ {"role" : "user", "content":"\u00fc\/"} ],"zz":{"x":null,"x":1e3}}"#;
    let rest = fields.strip_prefix('{').and_then(|text| text.strip_suffix('}')).expect("an object");
    assert_eq!(body(fields, false, false), format!(r#"{{"model":"up/stream",{rest},"max_tokens":7}}"#));
    assert_eq!(body("{}", false, true), r#"{"model":"up/stream","max_completion_tokens":7}"#);
}

#[test]
fn usage_is_always_asked_for_where_a_stream_would_not_tell_it() {
    let streamed = r#"{"model":"up/stream","max_tokens":7,"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(body("{}", true, false), streamed);
}

#[test]
fn what_else_is_asked_of_a_stream_passes() {
    let options = r#""stream_options":{"include_obfuscation":false,"new":[ 1 ],"include_usage":true}}"#;
    let said = with_options("{}", r#"{"include_obfuscation":false,"new":[ 1 ]}"#, true, false);
    assert!(said.ends_with(options), "{said}");
}
