use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::domain::chat::Fields;

fn ask(fields: &[(&str, Value)]) -> Ask {
    let raw = |value: &Value| serde_json::value::to_raw_value(value).expect("it is JSON");
    let fields: Fields = fields.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect();
    Ask { fields, ..Ask::default() }
}

fn said(text: &str) -> Ask {
    ask(&[("messages", json!([{ "role": "user", "content": text }]))])
}

fn input(ask: &Ask) -> u64 {
    Estimator::new(None, "nobody's").estimate(ask, Some(1)).need.input
}

const FRAME: u64 = 7;

#[test]
fn all_that_the_model_reads_counts_and_what_frames_it_does_not() {
    let text = "x".repeat(1_000);
    assert_eq!(input(&said(&text)), FRAME + 400);
    let parts = ask(&[("messages", json!([{ "role": "user", "content": [{ "type": "text", "text": text }] }]))]);
    assert_eq!(input(&parts), FRAME + 400);
    let call =
        json!({ "id": "call_1", "type": "function", "function": { "name": "look", "arguments": "x".repeat(996) } });
    let calls = ask(&[("messages", json!([{ "role": "assistant", "content": null, "tool_calls": [call] }]))]);
    assert_eq!(input(&calls), FRAME + 8 + 400);
    let tools = ask(&[("messages", json!([])), ("tools", json!([text])), ("user", json!(text))]);
    assert_eq!(input(&tools), 3 + 402);
}

#[test]
fn a_picture_has_a_price_of_its_own_however_many_bytes_it_has() {
    let picture = |url: String, detail: &str| {
        let part = json!({ "type": "image_url", "image_url": { "url": url, "detail": detail } });
        input(&ask(&[("messages", json!([{ "role": "user", "content": [part] }]))]))
    };
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(100_000));
    assert_eq!(picture(data, "high"), FRAME + 1_600);
    assert_eq!(picture("https://example.com/a.png".into(), "low"), FRAME + 100);
    let sound = json!({ "type": "input_audio", "input_audio": { "data": "A".repeat(100_000), "format": "wav" } });
    let sound = input(&ask(&[("messages", json!([{ "role": "user", "content": [sound] }]))]));
    assert!((1_000..1_020).contains(&sound), "{sound}");
}

#[test]
fn what_is_too_deep_to_look_into_counts_whole() {
    let deep = format!(r#"[{{"role":"user","content":{}{}}}]"#, "[".repeat(500), "]".repeat(500));
    let mut ask = said("");
    ask.fields.insert("messages".into(), serde_json::value::RawValue::from_string(deep).expect("it is JSON"));
    assert!(input(&ask) >= 400);
}

#[test]
fn a_models_own_ratio_is_learned() {
    let estimator = Estimator::new(None, "nobody's");
    let prompt = said(&"word ".repeat(800));
    for _ in 0..64 {
        let estimate = estimator.estimate(&prompt, None);
        estimator.observe(&estimate, Usage { input_tokens: 1_007, output_tokens: 200 });
    }
    let Need { input, output } = estimator.estimate(&prompt, None).need;
    assert!((1_007..1_070).contains(&input), "{input}");
    assert!((200..230).contains(&output), "{output}");
}

#[test]
fn a_limit_that_somebody_names_is_what_an_answer_may_cost() {
    let estimator = Estimator::new(None, "nobody's");
    let prompt = said("hello");
    let limited = estimator.estimate(&prompt, Some(4_096));
    assert_eq!(limited.need.output, 4_096);
    // A short answer that was limited says nothing of those that are not.
    (0..64).for_each(|_| estimator.observe(&limited, Usage { input_tokens: 9, output_tokens: 1 }));
    assert_eq!(estimator.estimate(&prompt, None).need.output, 1_024);
    let best = ask(&[("messages", json!([])), ("n", json!(2)), ("best_of", json!(3))]);
    assert_eq!(estimator.estimate(&best, Some(70)).need.output, 210);
    let several = ask(&[("messages", json!([])), ("n", json!(3))]);
    assert_eq!(estimator.estimate(&several, Some(100)).need.output, 300);
}

#[test]
fn a_known_model_is_counted_in_its_tokens() {
    let estimator = Estimator::new(None, "gpt-5");
    estimator.prepare();
    assert_eq!(estimator.estimate(&said("hello world"), Some(1)).need.input, FRAME + 2);
}

/// A name that means something to who reads a request, or nothing.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 10] =
        ["role", "content", "detail", "image_url", "input_image", "file", "input_audio", "function", "id", "url"];
    prop_oneof![4 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[a-z]{0,9}"]
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just("low".to_owned()), Just("high".to_owned()), "\\PC{0,40}"].prop_map(Value::from);
    let leaf = prop_oneof![4 => text, 1 => any::<i64>().prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from), 1 => Just(Value::Null)];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let map = vec((name(), inner.clone()), 0..6).prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![vec(inner, 0..6).prop_map(Value::Array), map]
    })
}

proptest! {
    #[test]
    fn nothing_that_is_added_makes_a_request_cheaper(before in value(), name in name(), more in value()) {
        let of = |messages: &Value| input(&ask(&[("messages", messages.clone())]));
        let without = of(&json!([{ "content": before }]));
        let longer = of(&json!([{ "content": before }, more]));
        prop_assert!(without <= longer, "{} {}", before, more);
        let mut message = json!({ "content": before });
        if name != "content" {
            message[&name] = more;
        }
        let wider = of(&json!([message]));
        prop_assert!(without <= wider, "{}", message);
        prop_assert!(of(&before) > 0);
    }
}

#[test]
fn a_detail_counts_within_a_picture_alone_and_once() {
    let detail = json!({ "role": "user", "content": "hi", "detail": "low" });
    assert_eq!(input(&ask(&[("messages", json!([detail]))])), FRAME + 2);
    let twice = r#"[{"role":"user","content":[{"type":"image_url","image_url":{"detail":"low","detail":"low"}}]}]"#;
    let mut prompt = said("");
    prompt
        .fields
        .insert("messages".into(), serde_json::value::RawValue::from_string(twice.into()).expect("it is JSON"));
    assert_eq!(input(&prompt), FRAME + 100);
}
