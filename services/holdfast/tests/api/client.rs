use crate::harness::{Place, free_ports};

#[tokio::test]
async fn malformed_json_is_a_mistake_on_the_command_line() {
    for input in ["{\"a\":", "", "{'a': 1}", "hello"] {
        let ended = Place::new().run(&["submit", "disputes", input]).await;
        assert_eq!(ended.code, 2, "{input:?}: {ended:?}");
        assert!(ended.err.contains("the input is not JSON") && ended.err.contains("quote it"), "{ended:?}");
    }
}

#[tokio::test]
async fn an_unreachable_gateway_is_told_at_once_with_what_to_do() {
    let address = format!("http://127.0.0.1:{}", free_ports());
    let id = "01920000-0000-7000-8000-000000000000";
    for command in [
        ["submit", "disputes", "{}"].as_slice(),
        &["get", id],
        &["watch", id],
        &["list"],
        &["redrive", id],
        &["circuits"],
        &["tools", "list"],
        &["tools", "call", "echo", "{}"],
        &["state", "get", "accounts", "C-1", "balance"],
        &["state", "put", "accounts", "C-1", "balance", "{}"],
        &["state", "watch", "accounts", "C-1"],
    ] {
        let ended = Place::new().run(&[&["--address", &address], command].concat()).await;
        assert_eq!(ended.code, 3, "{command:?}: {ended:?}");
        assert!(ended.err.contains(&address) && ended.err.contains("holdfast up"), "{ended:?}");
    }
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_usage() {
    for command in [
        ["no-such-command"].as_slice(),
        &["submit", "disputes"],
        &["list", "--state", "sleeping"],
        &["up", "--port-base", "70000"],
        &["submit", "disputes", "{}", "--deadline", "soon"],
        &["submit", "disputes", "{}", "--deadline", "300000000000years"],
        &["submit", "disputes", "{}", "--priority", "101"],
        &["submit", "disputes", "{}", "--label", "team"],
        &["submit", "disputes", "{}", "--attempts", "0"],
        &["submit", "disputes", "{}", "--not-before", "tomorrow"],
        &["list", "--since", "yesterday"],
        &["redrive"],
        &["redrive", "--limit", "5"],
        &["redrive", "01920000-0000-7000-8000-000000000000", "--state", "dead"],
        &["--api-key", "sk-plain-text", "list"],
        &["--api-key", "env:HOLDFAST_TEST_NOT_SET", "list"],
        &["--address", "not a url", "list"],
        &["tools"],
        &["tools", "call"],
        &["tools", "call", "echo", "not JSON"],
        &["tools", "call", "echo", "{}", "--deadline", "soon"],
        &["tools", "call", "echo", "{}", "--deadline", "300000000000years"],
        &["state", "get", "accounts"],
        &["state", "put", "accounts", "C-1", "balance", "not JSON"],
        &["state", "delete", "accounts", "C-1", "balance"],
        &["state", "put", "accounts", "C-1", "balance", "1", "--version", "AAAA", "--overwrite"],
    ] {
        let ended = Place::new().run(command).await;
        assert_eq!(ended.code, 2, "{command:?}: {ended:?}");
        assert!(!ended.err.is_empty() && !ended.err.contains("sk-plain-text"), "{command:?}: {ended:?}");
    }
}

#[tokio::test]
async fn help_and_version_are_not_mistakes() {
    for command in [
        ["--help"].as_slice(),
        &["--version"],
        &["submit", "--help"],
        &["tools", "call", "--help"],
        &["state", "--help"],
        &["state", "put", "--help"],
    ] {
        let ended = Place::new().run(command).await;
        assert_eq!(ended.code, 0, "{command:?}: {ended:?}");
    }
}

#[tokio::test]
async fn errors_for_programs_are_documents_too() {
    let address = format!("http://127.0.0.1:{}", free_ports());
    let ended = Place::new().run(&["--json", "--address", &address, "list"]).await;
    let document: serde_json::Value = serde_json::from_str(&ended.err).expect("one JSON document");
    assert_eq!((ended.code, document["error"]["reason"].as_str()), (3, Some("UNREACHABLE")));
}
