//! What `deploy/` says must be what the executable understands.

use std::path::{Path, PathBuf};
use std::process::Command as Shell;

use tokio::process::Command;

use crate::harness::{Place, Up, end, free_ports};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// A directory such as /etc/holdfast, made as deploy/README.md says.
fn installed() -> Place {
    let place = Place::new();
    let made = Shell::new(deploy().join("make-secrets"))
        .arg(place.path())
        .env("OPENAI_API_KEY", "sk-for-the-test")
        .output()
        .expect("deploy/make-secrets runs");
    assert!(made.status.success(), "{made:?}");
    place.file("holdfast.toml", &read("holdfast.toml"));
    place
}

/// The arguments of a command, checked by asking for its help.
async fn understood(place: &Place, arguments: &[String]) {
    let mut command: Command = place.command(&[]);
    command.args(arguments).arg("--help");
    let ended = end(command).await;
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
}

/// The lines of compose.yaml that set a key to a JSON value.
fn json_lines(compose: &str, key: &str) -> Vec<Vec<String>> {
    let values = compose.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    values.map(|value| serde_json::from_str(value).unwrap_or_else(|error| panic!("{value}: {error}"))).collect()
}

/// The environment that compose.yaml gives to every service, without what the host fills in.
fn environment(compose: &str) -> Vec<(String, String)> {
    let settings = compose.lines().filter_map(|line| line.trim().split_once(": "));
    settings
        .filter(|(name, _)| name.starts_with("HOLDFAST_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

#[tokio::test]
async fn the_configuration_passes_its_check_with_the_secrets_that_the_script_makes() {
    let ended = installed().run(&["check", "holdfast.toml"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[tokio::test]
async fn the_database_that_it_shows_passes_too_once_it_is_there() {
    let place = installed();
    let shown = ["# [database]", "# [redis]", "# url = "]
        .into_iter()
        .fold(read("holdfast.toml"), |shown, hidden| shown.replace(hidden, &hidden[2..]));
    place.file("holdfast.toml", &shown);
    place.file("secrets/redis-url", "rediss://cache.internal:6380\n");
    place.file("secrets/database-url", "postgres://holdfast:pw@db.internal:5432/holdfast\n");
    let ended = place.run(&["check", "holdfast.toml"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    place.file("secrets/database-url", "postgres://holdfast:pw@\n");
    let ended = place.run(&["check", "holdfast.toml"]).await;
    assert!(ended.code == 2 && ended.err.contains("database.url: names no host"), "{ended:?}");
}

#[tokio::test]
async fn without_the_secrets_the_check_names_what_is_missing() {
    let place = Place::new();
    place.file("holdfast.toml", &read("holdfast.toml"));
    let ended = place.run(&["check", "holdfast.toml"]).await;
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.contains("secrets/mesh-credential") || ended.err.contains("secrets/certificate.pem"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn the_units_start_commands_that_exist_for_every_service() {
    let (unit, target) = (read("systemd/holdfast@.service"), read("systemd/holdfast.target"));
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/holdfast"));
    let words: Vec<&str> = words.collect();
    let wants = target.lines().filter_map(|line| line.strip_prefix("Wants=")).flat_map(|line| line.split(' '));
    let names: Vec<&str> =
        wants.map(|unit| unit.trim_start_matches("holdfast@").trim_end_matches(".service")).collect();
    assert_eq!(names, ["gateway", "queue", "state", "tool-proxy", "llm-proxy", "agent"]);
    for name in names {
        let arguments: Vec<String> = words.iter().map(|word| word.replace("%i", name)).collect();
        understood(&Place::new(), &arguments).await;
    }
}

#[tokio::test]
async fn the_containers_start_commands_that_exist_with_settings_that_hold() {
    let compose = read("compose.yaml");
    let commands = json_lines(&compose, "command");
    assert_eq!(commands.len(), 6);
    let place = installed();
    for arguments in &commands {
        understood(&place, arguments).await;
    }
    let mut check = place.command(&["check", "holdfast.toml"]);
    check.envs(environment(&compose));
    let ended = end(check).await;
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[tokio::test]
async fn the_mesh_of_the_configuration_serves_callers_with_keys_over_tls_and_nobody_else() {
    let place = installed();
    let data = place.path().join("data");
    let base = free_ports();
    let base_text = base.to_string();
    let up =
        ["--json", "--config", "holdfast.toml", "up", "--data", &data.display().to_string(), "--port-base", &base_text];
    let mut up = Up::start(place.command(&up), base);
    up.event("all_ready", None).await;

    let address = format!("https://127.0.0.1:{base}");
    let known = ["--config", "holdfast.toml", "--address", &address];
    let caller = [known.as_slice(), &["--api-key", "file:secrets/caller-key"]].concat();
    let submitted = place.run(&[&caller, ["submit", "assistant", "{}"].as_slice()].concat()).await;
    assert_eq!(submitted.code, 0, "{submitted:?}");
    let cancelled = place.run(&[&caller, ["cancel", submitted.out.trim()].as_slice()].concat()).await;
    assert!(cancelled.code == 0 && cancelled.out.contains("cancelled"), "{cancelled:?}");

    // A caller's key opens no operator's method, and no key, another key, or no TLS, nothing.
    let plain = format!("http://127.0.0.1:{base}");
    for refused in [
        [&caller, ["circuits"].as_slice()].concat(),
        [known.as_slice(), &["list"]].concat(),
        [known.as_slice(), &["--api-key", "file:secrets/mesh-credential", "list"]].concat(),
        vec!["--address", &plain, "--api-key", "file:secrets/caller-key", "get", submitted.out.trim()],
    ] {
        let ended = place.run(&refused).await;
        assert_eq!(ended.code, 3, "{refused:?}: {ended:?}");
    }
    let operator = [known.as_slice(), &["--api-key", "file:secrets/operator-key", "circuits"]].concat();
    let ended = place.run(&operator).await;
    assert!(ended.code == 0 && ended.out.contains("lookup_order"), "{ended:?}");
}

#[test]
fn the_published_port_is_the_gateways() {
    let compose = read("compose.yaml");
    assert_eq!(json_lines(&compose, "ports"), [["7070:7070"]]);
    let environment = environment(&compose);
    let listens = |(name, value): &(String, String)| name == "HOLDFAST_GATEWAY__ADDRESS" && value.ends_with(":7070");
    assert!(environment.iter().any(listens));
    for (name, value) in &environment {
        // Each service is reached where it listens.
        if let Some(service) = name.strip_prefix("HOLDFAST_MESH__") {
            let port = value.rsplit(':').next().expect("a port");
            let address = environment.iter().find(|(other, _)| *other == format!("HOLDFAST_{service}__ADDRESS"));
            assert!(address.is_some_and(|(_, address)| address.ends_with(port)), "{service}");
        }
    }
}

#[test]
fn every_container_that_keeps_files_has_a_volume_for_them() {
    let compose = read("compose.yaml");
    let (services, volumes) = compose.split_once("\nvolumes:\n").expect("there are volumes");
    let data = "/var/lib/holdfast";
    assert!(read("holdfast.toml").contains(&format!("dir = \"{data}\"")));
    for service in ["queue", "state", "llm-proxy"] {
        let (_, block) = services.split_once(&format!("\n  {service}:\n")).expect("it is there");
        let block = block.split("\n\n").next().expect("a block");
        assert!(block.contains(&format!("- {service}:{data}")), "{service}: {block}");
        assert!(volumes.lines().any(|line| line == format!("  {service}:")), "{service}");
    }
}

#[test]
fn the_image_runs_the_executable_that_it_builds() {
    let file = read("Dockerfile");
    assert!(file.contains("deploy/build && cp target/dist/holdfast ") && file.contains("ENTRYPOINT [\"holdfast\"]"));
    let build = read("build");
    assert!(build.contains("cargo build --profile dist --locked -p holdfast") && build.contains("-Cprofile-use="));
}
