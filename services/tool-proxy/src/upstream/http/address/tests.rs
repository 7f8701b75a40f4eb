use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn address(url: &str, query: Value) -> Address {
    let query: BTreeMap<_, _> = query.as_object().expect("an object").clone().into_iter().collect();
    Address::parse(url, &query).expect("an address")
}

fn fill(address: &Address, arguments: &Value) -> Result<String, Unfit> {
    address.fill(arguments.as_object().expect("an object")).map(String::from)
}

#[test]
fn arguments_take_their_places_in_path_and_query() {
    let query = json!({"limit": "{limit}", "lang": "en", "page": 2, "by": "{by}-{limit}", "tag": ["{tags}", "all"]});
    let address = address("https://h:8443/a/{id}/v{n}.json?x=1", query);
    let arguments = json!({"id": "C 1/ü", "n": 3, "limit": 10, "by": true, "tags": ["p", 7]});
    assert_eq!(
        fill(&address, &arguments).expect("it fits"),
        "https://h:8443/a/C%201%2F%C3%BC/v3.json?x=1&by=true-10&lang=en&limit=10&page=2&tag=p&tag=7&tag=all"
    );
}

#[test]
fn an_optional_argument_that_is_missing_leaves_its_parameter_out() {
    let address = address("http://h/{id}", json!({"limit": "{limit}", "by": "{by}-{limit}"}));
    assert_eq!(fill(&address, &json!({"id": 1, "by": "x", "limit": null})).expect("it fits"), "http://h/1");
}

#[test]
fn a_part_of_the_path_must_be_there_and_lead_nowhere_else() {
    let address = address("http://h/orders/{id}/items", json!({}));
    let cases = [
        (json!({}), "is missing"),
        (json!({"id": null}), "is missing"),
        (json!({"id": [1]}), "must be text"),
        (json!({"id": {"a": 1}}), "must be text"),
        (json!({"id": ""}), "must not be empty"),
        (json!({"id": "."}), "must not be empty, nor lead"),
        (json!({"id": ".."}), "must not be empty, nor lead"),
        (json!({"id": "../admin"}), "must not be empty, nor lead"),
        (json!({"id": "a/../../admin"}), "must not be empty, nor lead"),
        (json!({"id": "a\\..\\admin"}), "must not be empty, nor lead"),
        (json!({"id": "%2e%2e"}), "must not be empty, nor lead"),
        (json!({"id": "a%2f..%2fadmin"}), "must not be empty, nor lead"),
        (json!({"id": "..;"}), "must not be empty, nor lead"),
        (json!({"id": "a/..;x=1/admin"}), "must not be empty, nor lead"),
        (json!({"id": "..%3bx"}), "must not be empty, nor lead"),
        (json!({"id": ".;/..%3B"}), "must not be empty, nor lead"),
    ];
    for (arguments, expected) in cases {
        let unfit = fill(&address, &arguments).expect_err("it does not fit");
        assert_eq!(unfit.argument, "id");
        assert!(unfit.why.contains(expected), "{arguments}: {}", unfit.why);
    }
    for (id, expected) in
        [("...", "..."), ("a..b", "a..b"), ("a/b", "a%2Fb"), ("a;..", "a%3B.."), ("?q#f;x=1&y", "%3Fq%23f%3Bx%3D1%26y")]
    {
        assert_eq!(fill(&address, &json!({"id": id})).expect(id), format!("http://h/orders/{expected}/items"));
    }
}

#[test]
fn what_the_url_itself_says_stays_as_it_is() {
    let plain = address("http://h/a%20b/../c?x=%7B#f", json!({}));
    assert_eq!(fill(&plain, &json!({})).expect("it fits"), "http://h/c?x=%7B#f");
    let escaped = address("http://h/{{a}}/%41/{id}/", json!({}));
    assert_eq!(fill(&escaped, &json!({"id": 1})).expect("it fits"), "http://h/%7Ba%7D/%41/1/");
    let hidden = address("http://h/a/%2e{id}/b", json!({}));
    assert!(fill(&hidden, &json!({"id": "."})).is_err(), "half of it stands in the configuration");
}

/// What careless receivers trip over, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let tokens = r"/ \ .. . %2e %2F % %25 ? # & = @ : //evil.example ; + {id} }} ü ． a".split(' ');
    let tokens = tokens.chain([" ", "\r\n", "\0", "\t"]).collect::<Vec<_>>();
    let token = proptest::sample::select(tokens);
    prop_oneof![proptest::collection::vec(token, 0..6).prop_map(|tokens| tokens.concat()), any::<String>()]
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().expect("it was text").into_owned()
}

proptest! {
    #[test]
    fn no_argument_leaves_its_place(id in hostile(), other in hostile(), value in hostile(), list in proptest::collection::vec(hostile(), 0..3)) {
        let address = address("https://h.example:8443/a/{id}/b/x-{other}?fixed=1", json!({"q": "{value}", "r": "<{value}>", "l": "{list}"}));
        let arguments = json!({"id": id, "other": other, "value": value, "list": list});
        let Ok(text) = fill(&address, &arguments) else {
            // Refused is what has no harmless place: nothing at all, or what climbs once it is decoded.
            let named = |part: &str| [".", ".."].contains(&part) || part.starts_with("..;") || part.starts_with(".;");
            let climbs = |text: &str| text.split(['/', '\\']).any(named);
            let strays = |text: &str| climbs(text) || climbs(&percent_decode_str(text).decode_utf8_lossy());
            let second = format!("x-{other}");
            prop_assert!(id.is_empty() || strays(&id) || strays(&second));
            return Ok(());
        };
        // As whoever receives it reads it.
        let url = Url::parse(&text).expect("a URL");
        prop_assert_eq!(url.as_str(), &text);
        prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("h.example"), Some(8443)));
        prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
        let segments: Vec<_> = url.path_segments().expect("a path").map(decoded).collect();
        prop_assert_eq!(segments, ["a".to_owned(), id, "b".to_owned(), format!("x-{other}")]);
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let listed = list.into_iter().map(|item| pair("l", item));
        let expected: Vec<_> = std::iter::once(pair("fixed", "1".into()))
            .chain(listed)
            .chain([pair("q", value.clone()), pair("r", format!("<{value}>"))])
            .collect();
        let found: Vec<_> = url.query_pairs().map(|(name, value)| pair(&name, value.into())).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "nothing ends a line or a word");
    }
}
