use super::*;
use crate::scenario::Which;

const CONFIG: &str = r#"
[gateway]
address = "10.0.0.1:7070"
keys = [{ name = "desk", key = "env:DESK_KEY", tenant = "retail", role = "caller" }]
payload_max = "2MiB"

[database]
url = "postgres://prod.internal/holdfast"

[mcp.web]
url = "https://mcp.example/mcp"
bearer = "env:MCP_TOKEN"

[agents.support]
model = "default"
tools = ["crm", "refund", "web_search", "state_get"]

[agents.writer]
model = "default"

[models.default]
deployments = [{ provider = "openai", model = "gpt-5" }]

[providers.openai]
kind = "openai"
base_url = "https://api.openai.com/v1"
cooldown = "10s"
keys = [{ name = "main", key = "env:OPENAI_API_KEY", requests_per_minute = 500, concurrency = 20, requests_per_day = 9000 }]

[tools.crm]
url = "https://crm.internal/customers/{id}"
method = "GET"
secret_headers = { x-key = "file:/etc/crm" }
effect = "read_only"
timeout = "2s"
schema = '{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}'
fallback = [{ kind = "last_good", max_age = "1h" }]

[tools.refund]
url = "https://pay.internal/refund"
basic = { user = "holdfast", password = "env:PAY" }
fallback = [{ kind = "unavailable", advice = "Say so." }]
"#;

const ENDS: &str = r#"
tool = { latency = "1s", hang_rate = 0.02, hang_for = "30s" }
model = { latency = "3s" }
[off]
without_limits = true
tool = { timeout = "1h" }
"#;

fn own() -> (Own, Ends) {
    let ends: Ends = toml::from_str(ENDS).expect("ends");
    let config: Table = CONFIG.parse().expect("it is TOML");
    (Own::of(&config, Path::new("."), &ends), ends)
}

#[test]
fn nothing_that_leads_outside_or_is_secret_is_left() {
    let (own, ends) = own();
    for which in [Which::Off, Which::On] {
        let text = toml::to_string(&own.on_side(which, &ends)).expect("it can be written");
        for gone in ["http", "env:", "file:", "internal", "10.0.0.1", "postgres", "bearer", "basic"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }
}

#[test]
fn what_decides_how_the_mesh_behaves_stays_as_it_is_written() {
    let (own, ends) = own();
    let on = own.on_side(Which::On, &ends);
    assert_eq!(on["gateway"]["payload_max"].as_str(), Some("2MiB"));
    assert_eq!(on["tools"]["crm"]["timeout"].as_str(), Some("2s"));
    assert_eq!(on["tools"]["crm"]["fallback"][0]["kind"].as_str(), Some("last_good"));
    assert_eq!(on["providers"]["openai"]["cooldown"].as_str(), Some("10s"));
    assert_eq!(on["models"]["default"]["deployments"][0]["model"].as_str(), Some("gpt-5"));
    assert_eq!(own.agents, ["support", "writer"]);
}

#[test]
fn the_provider_keeps_the_limits_that_were_declared_whether_they_are_known_or_not() {
    let (own, ends) = own();
    let (off, on) = (own.on_side(Which::Off, &ends), own.on_side(Which::On, &ends));
    for side in [&off, &on] {
        let strict = &side["simulator"]["keys"]["openai-main"];
        assert_eq!(
            (strict["requests_per_minute"].as_integer(), strict["concurrency"].as_integer()),
            (Some(500), Some(20))
        );
        assert_eq!(strict["window"].as_str(), Some("60s"), "a minute is compressed like all else");
    }
    let known = |side: &Table| side["providers"]["openai"]["keys"][0].as_table().expect("a key").len();
    assert_eq!((known(&off), known(&on)), (1, 3), "the name alone, and with two limits");
}

#[test]
fn a_pilot_has_what_the_scenario_lays_over_every_tool() {
    let (own, ends) = own();
    let timeouts = |which| {
        let side = own.on_side(which, &ends);
        ["crm", "refund"].map(|tool| side["tools"][tool]["timeout"].as_str().map(str::to_owned))
    };
    assert_eq!(timeouts(Which::Off), [Some("1h".into()), Some("1h".into())]);
    assert_eq!(timeouts(Which::On), [Some("2s".into()), Some("10s".into())], "a default is a time of the day, too");
}

#[test]
fn the_model_asks_each_tool_of_its_agent_once_with_arguments_that_fit() {
    let (own, _) = own();
    let rules = own.settings["simulator"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 2, "the writer has no tools");
    let asked = rules[0]["calls"].as_array().expect("calls");
    let tools: Vec<_> = asked.iter().filter_map(|call| call["tool"].as_str()).collect();
    assert_eq!(tools, ["crm", "refund"]);
    assert_eq!(asked[0]["arguments"]["id"].as_str(), Some("rehearsal"));
}

#[test]
fn rules_of_ones_own_are_kept() {
    let config = format!("{CONFIG}\n[[simulator.rules]]\ntext = \"mine\"\n");
    let own = Own::of(&config.parse().expect("it is TOML"), Path::new("."), &Ends::default());
    assert_eq!(own.settings["simulator"]["rules"][0]["text"].as_str(), Some("mine"));
}

#[test]
fn what_is_not_played_is_told() {
    let (own, _) = own();
    assert_eq!(own.settings["agents"]["support"]["tools"].as_array().map(Vec::len), Some(3));
    let told = own.told.join("; ");
    assert!(told.contains("web_search") && told.contains("database, mcp"), "{told}");
}

#[test]
fn a_mesh_that_runs_is_known_by_the_keys_that_its_settings_declare() {
    let scenario = Scenario::find("ten-times").expect("it is built in");
    assert_eq!(scenario.model_keys(4), ["rehearsed"]);
    let written = Written { origin: "own.toml".into(), text: CONFIG.into() };
    let played = scenario.of_own(written, Path::new("."));
    assert_eq!(played.model_keys(4), ["openai-main"]);
}

#[test]
fn what_is_called_is_what_agents_name_and_the_mesh_has() {
    let scenario = Scenario::find("ten-times").expect("it is built in");
    assert_eq!(Vec::from_iter(scenario.called().models), ["rehearsed"]);
    let written = Written { origin: "own.toml".into(), text: CONFIG.into() };
    let called = scenario.of_own(written, Path::new(".")).called();
    assert_eq!(
        (Vec::from_iter(called.models), Vec::from_iter(called.tools)),
        (vec!["default".to_owned()], vec!["crm".to_owned(), "refund".to_owned()])
    );
}
