use crate::harness::{Place, end};

/// A configuration in which everything fits.
const GOOD: &str = include_str!("../../src/demo.toml");

async fn refused(text: &str) -> String {
    let place = Place::new();
    place.file("bad.toml", text);
    let ended = place.run(&["check", "bad.toml"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.is_empty(), "{ended:?}");
    ended.err
}

/// The line of the demonstration on which this stands, counted from 1.
fn line_of(needle: &str) -> usize {
    GOOD.lines().position(|line| line.contains(needle)).expect("it is there") + 1
}

#[tokio::test]
async fn a_configuration_in_which_everything_fits_is_ok() {
    let place = Place::new();
    place.file("good.toml", GOOD);
    let ended = place.run(&["check", "good.toml"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "good.toml: ok\n"), "{ended:?}");
    let ended = place.run(&["--json", "check", "good.toml"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "{\"file\":\"good.toml\",\"ok\":true}\n"), "{ended:?}");
}

#[tokio::test]
async fn each_mistake_is_named_with_file_line_and_key() {
    for (text, wanted) in [
        ("[queue]\nno_such_key = 1\n", "bad.toml:2: queue.no_such_key: "),
        ("[qeue]\n", "bad.toml:1: qeue: there is no such section"),
        ("[state]\naddress = 5\n", "bad.toml:2: state.address: "),
        ("[state]\nwatches_max = 0\n", "bad.toml:2: state.watches_max: must be at least 1"),
        (
            "[state.namespaces.notes]\nttl = \"10ms\"\n",
            "bad.toml:2: state.namespaces.notes.ttl: must be between 1 s and 10 years",
        ),
        ("[data\n", "bad.toml:1: "),
        ("[mesh]\ncredential = \"env:HOLDFAST_TEST_NOT_SET\"\n", "bad.toml:2: mesh.credential: "),
        ("[mesh]\ncredential = \"file:no/such/file\"\n", "bad.toml:2: mesh.credential: "),
        ("[gateway]\npayload_max = \"2GiB\"\n", "bad.toml:2: gateway.payload_max: "),
        (
            "[gateway]\npayload_max = \"2MiB\"\n",
            "bad.toml:2: gateway.payload_max: 2.0 MiB is more than queue.payload_max",
        ),
        ("[data]\ndir = \"\"\n", "bad.toml:2: data.dir: must name a directory"),
    ] {
        let error = refused(text).await;
        assert!(error.contains(wanted), "{wanted:?} is not in {error:?}");
    }
}

#[tokio::test]
async fn what_sections_say_of_each_other_must_be_true() {
    for (from, to, key) in [
        ("model = \"default\"", "model = \"defualt\"", "agents.disputes.model"),
        (
            "\"lookup_customer\", \"lookup_payment\",",
            "\"lookup_costumer\", \"lookup_payment\",",
            "agents.disputes.tools",
        ),
        ("provider = \"simulated\", model", "provider = \"simulatde\", model", "models.default.deployments"),
        (
            "{ kind = \"last_good\", max_age = \"1h\" }",
            "{ kind = \"tool\", name = \"nope\" }",
            "tools.lookup_customer.fallback",
        ),
    ] {
        let error = refused(&GOOD.replacen(from, to, 1)).await;
        assert!(error.contains(key), "{key} is not in {error:?}");
    }
    let line = line_of("model = \"default\"");
    let error = refused(&GOOD.replacen("model = \"default\"", "model = \"x\"", 1)).await;
    assert!(error.contains(&format!("bad.toml:{line}: agents.disputes.model: there is no [models.x]")), "{error}");
}

#[tokio::test]
async fn a_mesh_whose_only_tools_are_those_of_servers_is_ok() {
    let servers = "[mcp.web]\nurl = \"https://web.example/mcp\"\nfallback = [{ kind = \"unavailable\", advice = \"Go on.\" }]\n\
                   [providers.p]\nkind = \"openai\"\nbase_url = \"simulator:/v1\"\nkeys = [{ name = \"k\" }]\n\
                   [models.m]\ndeployments = [{ provider = \"p\", model = \"simulated\" }]\n";
    let agent = "[agents.a]\nmodel = \"m\"\ntools = [\"web_search\", \"state_get\"]\n";
    let place = Place::new();
    place.file("good.toml", &format!("{servers}{agent}"));
    let ended = place.run(&["check", "good.toml"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "good.toml: ok\n"), "{ended:?}");
    let error = refused(&format!("{servers}{}", agent.replace("web_search", "wed_search"))).await;
    assert!(error.contains("agents.a.tools: there is no [tools.wed_search]"), "{error}");
}

#[tokio::test]
async fn a_tool_for_which_nothing_stands_in_is_refused() {
    let text = "[tools.pay]\nurl = \"http://127.0.0.1:1/pay\"\n";
    for text in [text.to_owned(), format!("{text}fallback = []\n")] {
        let error = refused(&text).await;
        assert!(error.contains("tools.pay.fallback: is missing") && error.contains("bad.toml:"), "{error}");
    }
    let error = refused("[mcp.files]\nurl = \"https://files.example/mcp\"\n").await;
    assert!(error.contains("bad.toml:1: mcp.files.fallback: is missing"), "{error}");
    // Also where the tool is one of several, and the others have one.
    let last = "fallback = [{ kind = \"unavailable\", advice = \"The decision could not be recorded: say so in the answer.\" }]";
    let line = line_of("[tools.record_decision]");
    let error = refused(&GOOD.replacen(last, "", 1)).await;
    assert!(error.contains(&format!("bad.toml:{line}: tools.record_decision.fallback: is missing")), "{error}");
}

#[tokio::test]
async fn all_mistakes_are_named_at_once() {
    let error = refused("[queue]\nnope = 1\n[state]\nnope = 1\n[gateway]\nnope = 1\n").await;
    for key in ["bad.toml:2: queue.nope", "bad.toml:4: state.nope", "bad.toml:6: gateway.nope"] {
        assert!(error.contains(key), "{key} is not in {error:?}");
    }
}

#[tokio::test]
async fn a_listener_for_strangers_needs_protection() {
    let error = refused("[gateway]\naddress = \"0.0.0.0:7070\"\n").await;
    assert!(error.contains("bad.toml:2: gateway.address: ") && error.contains("[tls]"), "{error}");
}

#[tokio::test]
async fn services_that_listen_for_each_other_need_a_lease_key_that_all_share() {
    let text = "[queue]\naddress = \"0.0.0.0:7071\"\n[tls]\n[mesh]\ncredential = \"env:CARGO_PKG_NAME\"\n";
    let error = refused(text).await;
    assert!(error.contains("bad.toml:2: queue.address: ") && error.contains("mesh.lease_key"), "{error}");
}

#[tokio::test]
async fn a_collector_that_cannot_be_used_is_told_without_its_key() {
    let place = Place::new();
    place.file("good.toml", GOOD);
    let checked = async |variable: &str, value: &str| {
        let mut command = place.command(&["check", "good.toml"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1").env("OTEL_EXPORTER_OTLP_HEADERS", "k=canary");
        command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", "authority.pem").env(variable, value);
        end(command).await
    };
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be certified");
    place.file("authority.pem", &authority.cert.pem());
    let ended = checked("OTEL_SERVICE_NAME", "any").await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "good.toml: ok\n"), "{ended:?}");
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "k=canary,canary"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "nowhere.pem"),
    ] {
        let ended = checked(variable, value).await;
        assert!(ended.code == 2 && ended.err.contains(&format!("{variable}: ")), "{variable}: {ended:?}");
        assert!(!ended.err.contains("canary") && !ended.out.contains("canary"), "{variable}: {ended:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let ended = Place::new().run(&["check", "nothing.toml"]).await;
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("nothing.toml: cannot be read"), "{ended:?}");
}

#[tokio::test]
async fn programs_get_the_mistake_as_one_document() {
    let place = Place::new();
    place.file("bad.toml", "[queue]\nnope = 1\n");
    let ended = place.run(&["--json", "check", "bad.toml"]).await;
    let document: serde_json::Value = serde_json::from_str(&ended.err).expect("one JSON document");
    assert_eq!((ended.code, document["error"]["reason"].as_str()), (2, Some("CONFIGURATION")));
}

#[tokio::test]
async fn no_service_starts_on_a_configuration_that_does_not_hold() {
    let place = Place::new();
    place.file("holdfast.toml", "[queue]\nnope = 1\n");
    for command in [["queue"].as_slice(), &["up"]] {
        let ended = place.run(command).await;
        assert_eq!(ended.code, 2, "{command:?}: {ended:?}");
        assert!(ended.err.contains("holdfast.toml:2: queue.nope"), "{command:?}: {ended:?}");
    }
}
