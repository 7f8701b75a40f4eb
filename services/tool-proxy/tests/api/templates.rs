//! Where arguments go: the path, the query, the body.

use holdfast_rpc::status;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Harness, content, tool};
use crate::tool_server::{Does, Hit};

fn schema(names: &[&str]) -> String {
    let properties: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    format!("schema = '{}'\n", json!({"type": "object", "properties": properties}))
}

/// What a tool is sent for these arguments.
async fn sent(path: &str, names: &[&str], more: &str, arguments: Value) -> Hit {
    let more = schema(names) + more;
    let mesh = Harness::start(|server| tool("t", &server.url(path), &more)).await;
    mesh.call("t", arguments).await.expect("it answers");
    mesh.server.all_hits().remove(0)
}

#[tokio::test]
async fn arguments_go_where_the_templates_say_and_the_rest_into_the_body() {
    let more = "query = { limit = \"{limit}\", lang = \"en\" }";
    let arguments = json!({"order_id": "A 7/ü", "limit": 5, "note": {"x": null}});
    let hit = sent("/orders/{order_id}/items", &["order_id", "limit", "note"], more, arguments).await;
    assert_eq!((hit.path.as_str(), hit.query.as_str()), ("/orders/A%207%2F%C3%BC/items", "lang=en&limit=5"));
    assert_eq!((hit.method.as_str(), hit.json()), ("POST", json!({"note": {"x": null}})));
}

#[tokio::test]
async fn without_a_body_the_rest_goes_into_the_query_beside_what_is_set() {
    let more = "method = \"GET\"\neffect = \"read_only\"\nquery = { lang = \"en\", by = \"{by}\" }";
    let arguments = json!({"id": 7, "q": "a b", "tags": ["x", "y"]});
    let hit = sent("/find/{id}?v=2", &["id", "q", "tags", "by"], more, arguments).await;
    assert_eq!((hit.path.as_str(), hit.query.as_str()), ("/find/7", "v=2&lang=en&q=a+b&tags=x&tags=y"));
    assert!(hit.body.is_empty());
}

#[tokio::test]
async fn a_configured_body_is_what_it_says() {
    let more = r#"body = '{"order": {"id": "{id}", "count": "{count}", "memo": "no. {id}"}, "maybe": "{maybe}", "fixed": [1]}'"#;
    let hit = sent("/orders", &["id", "count", "maybe"], more, json!({"id": "A", "count": 3, "unknown": true})).await;
    assert_eq!(hit.json(), json!({"order": {"id": "A", "count": 3, "memo": "no. A"}, "fixed": [1]}));
    assert_eq!(hit.header("content-type"), "application/json");
    assert_eq!(hit.header("content-length"), hit.body.len().to_string());
}

#[tokio::test]
async fn no_argument_leaves_its_place() {
    let sly = "a/b?admin=1#x&y=2;z\r\nx-admin: true\r\n\r\nGET /admin HTTP/1.1";
    let more = "query = { q = \"{q}\" }\nbody = { text = \"<{q}>\" }";
    let hit = sent("/a/{id}", &["id", "q"], more, json!({"id": sly, "q": sly})).await;
    let plain = sent("/a/{id}", &["id", "q"], more, json!({"id": "i", "q": "q"})).await;
    assert_eq!(hit.path.matches('/').count(), 2, "{}", hit.path);
    assert_eq!((hit.query.matches('&').count(), hit.query.matches('=').count()), (0, 1), "{}", hit.query);
    assert_eq!(hit.json(), json!({"text": format!("<{sly}>")}));
    let names = |hit: &Hit| hit.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&hit), names(&plain), "and no header comes of it");
}

#[tokio::test]
async fn a_missing_part_of_the_path_is_refused_before_anything_is_sent_or_recorded() {
    let more = schema(&["order_id"]);
    let mesh = Harness::start(|server| tool("cancel", &server.url("/orders/{order_id}"), &more)).await;
    let lease = mesh.lease("inv", 1);
    for arguments in [json!({}), json!({"order_id": null}), json!({"order_id": ".."}), json!({"order_id": ["a"]})] {
        let refused = mesh.step(&lease, 1, "cancel", arguments).await.expect_err("it does not fit");
        let field = status::field(&refused);
        assert_eq!((refused.code(), field.as_deref()), (Code::InvalidArgument, Some("arguments/order_id")));
    }
    assert_eq!(mesh.record("inv", "1.0").await, None);
    assert!(mesh.server.all_hits().is_empty());
    assert_eq!(mesh.circuit("cancel").await.failures, 0, "it is nobody's failure but the caller's");
}

#[tokio::test]
async fn an_argument_cannot_stand_beside_a_parameter_that_is_set() {
    let mesh = Harness::start(|server| {
        let more = "method = \"GET\"\neffect = \"read_only\"\nquery = { tenant = \"acme\" }";
        tool("t", &server.url("/t?role=guest"), more)
    })
    .await;
    for name in ["tenant", "role"] {
        let refused = mesh.call("t", json!({name: "root"})).await.expect_err("it is set");
        let field = format!("arguments/{name}");
        assert_eq!((refused.code(), status::field(&refused)), (Code::InvalidArgument, Some(field)));
    }
    assert!(mesh.server.all_hits().is_empty());
}

#[tokio::test]
async fn a_stand_in_without_its_part_of_the_path_is_passed_over() {
    let mesh = Harness::start(|server| {
        let chain = "fallback = [{ kind = \"tool\", name = \"by_id\" }, { kind = \"fixed\", answer = \"last\" }]";
        tool("first", &server.url("/first"), &format!("effect = \"read_only\"\nattempts = 1\n{chain}"))
            + &tool("by_id", &server.url("/by/{id}"), &format!("effect = \"read_only\"\n{}", schema(&["id"])))
    })
    .await;
    mesh.server.on("/first", Does::Answer(500, json!({})));
    mesh.server.on("/by/7", Does::Answer(200, json!("by id")));
    let answer = mesh.call("first", json!({"id": 7})).await.expect("it answers");
    assert_eq!(content(&answer), json!("by id"));
    let answer = mesh.call("first", json!({})).await.expect("it answers");
    assert_eq!(content(&answer), json!("last"));
}
