use crate::{
    domain::{Ask, Form},
    provider::http::Question,
};

fn body(fields: &str, streamed: bool, completion_tokens: bool) -> String {
    let ask = Ask {
        model: "m".into(),
        fields: serde_json::from_str(fields).expect("an object"),
        max_output_tokens: Some(7),
        priority: 0,
        form: Form::Said,
        bytes: 10,
    };
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
