//! What clients send over plain HTTP, through the gateway and at the proxies' own doors.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::place::{MODELS, Place, client};

/// Where each stands among the ports.
const GATEWAY: u16 = 0;
const TOOL_PROXY: u16 = 3;
const LLM_PROXY: u16 = 4;

pub async fn all(place: &mut Place) {
    for door in [GATEWAY, LLM_PROXY] {
        models(place, door).await;
    }
    for door in [GATEWAY, TOOL_PROXY] {
        tools(place, door).await;
    }
}

async fn models(place: &mut Place, door: u16) {
    let (url, worker) = (place.url(door, "/v1/chat/completions"), place.secret("worker"));
    let prompt = place.prompt.word().to_owned();
    for model in MODELS {
        for stream in [false, true] {
            let chat = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]});
            let ask = client().post(&url).bearer_auth(&worker).header("x-stainless-timeout", "1").json(&chat);
            hear(place, &format!("who asks {model} at {door}"), ask, true).await;
        }
    }
    let wrong = [
        json!({"model": "answers", "messages": prompt}),
        json!({"model": "none", "messages": [{"role": "user", "content": prompt}]}),
    ];
    for chat in wrong {
        let ask = client().post(&url).bearer_auth(&worker).json(&chat);
        hear(place, "who asks a model wrongly", ask, false).await;
    }
    let broken = format!("{{\"model\": \"answers\", \"messages\": [{{\"role\": \"user\", \"content\": \"{prompt}");
    hear(place, "who breaks off", client().post(&url).bearer_auth(&worker).body(broken), false).await;
    stranger(place, &url, json!({"model": "answers", "messages": [{"role": "user", "content": prompt}]})).await;
}

async fn tools(place: &mut Place, door: u16) {
    let (url, operator) = (place.url(door, "/mcp"), place.secret("operator"));
    let prompt = place.prompt.word().to_owned();
    let call = |tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    };
    for tool in ["well", "fails", "denies", "mumbles", "redirects", "hangs"] {
        let ask = mcp(&url, &operator, call(tool, json!({ "text": prompt })).to_string());
        hear(place, &format!("who calls {tool} at {door}"), ask, true).await;
    }
    let wrong = [
        call("well", json!({"text": 5, "more": prompt})).to_string(),
        call("well", json!([prompt])).to_string(),
        call("none", json!({ "text": prompt })).to_string(),
        json!({"jsonrpc": "2.0", "id": 1, "method": "none", "params": {"text": prompt}}).to_string(),
        format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/call\", \"params\": \"{prompt}"),
    ];
    for message in wrong {
        hear(place, "who calls a tool wrongly", mcp(&url, &operator, message), false).await;
    }
    stranger(place, &url, call("well", json!({ "text": prompt }))).await;
}

fn mcp(url: &str, key: &str, message: String) -> RequestBuilder {
    let ask = client().post(url).bearer_auth(key).header("content-type", "application/json");
    ask.header("accept", "application/json, text/event-stream").body(message)
}

/// Shows a key that is none, in every place where somebody might put one.
async fn stranger(place: &mut Place, url: &str, body: Value) {
    let key = place.secret("stranger");
    let in_query = format!("{url}?api_key={}", key.replace('/', "%2F").replace('+', "%2B"));
    for ask in [
        client().post(url).bearer_auth(&key).json(&body),
        client().post(url).basic_auth("shop", Some(&key)).json(&body),
        client().post(url).header("x-api-key", &key).header("holdfast-lease", &key).json(&body),
        client().post(in_query).json(&body),
    ] {
        hear(place, "a stranger", ask, false).await;
    }
}

async fn hear(place: &mut Place, who: &str, ask: RequestBuilder, quotes: bool) {
    let answer = ask.send().await.unwrap_or_else(|error| panic!("{who} is not answered: {error}"));
    let (status, head) = (answer.status(), format!("{:?}", answer.headers()));
    // A stream that breaks off has an end all the same.
    let body = answer.bytes().await.unwrap_or_default();
    let is_error = !status.is_success() || body.windows(5).any(|part| part == b"error");
    assert!(quotes || is_error, "{who} is not refused: {body:?}");
    let head = head.into_bytes();
    place.hears(who, [head, body.to_vec()].concat(), quotes);
}
