use serde_json::{Value, json};

use super::*;
use crate::domain::{Form, chat::Fields};

fn ask(fields: &[(&str, Value)]) -> Ask {
    let raw = |value: &Value| serde_json::value::to_raw_value(value).expect("it is JSON");
    let fields: Fields = fields.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect();
    Ask { model: "m".into(), fields, max_output_tokens: None, priority: 0, form: Form::Said, bytes: 0 }
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
    let several = ask(&[("messages", json!([])), ("n", json!(3))]);
    assert_eq!(estimator.estimate(&several, Some(100)).need.output, 300);
}

#[test]
fn a_known_model_is_counted_in_its_tokens() {
    let estimator = Estimator::new(None, "gpt-5");
    estimator.prepare();
    assert_eq!(estimator.estimate(&said("hello world"), Some(1)).need.input, FRAME + 2);
}
