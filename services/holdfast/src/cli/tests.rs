use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_service_of_the_mesh_is_a_command_of_its_own_name() {
    for peer in Peer::ALL {
        let cli = Cli::try_parse_from(["holdfast", peer.name()]).expect("it is a command");
        let Command::Service(service) = cli.command else { panic!("{} is a service", peer.name()) };
        assert_eq!(service.peer(), peer);
    }
}

#[test]
fn the_global_options_stand_before_or_after_a_command() {
    for words in [["holdfast", "--json", "submit", "a", "{}"], ["holdfast", "submit", "a", "{}", "--json"]] {
        let cli = Cli::try_parse_from(words).expect("it is well-formed");
        assert!(cli.global.json && matches!(cli.command, Command::Client(Client::Submit(_))));
    }
}

#[test]
fn a_redrive_says_of_the_filter_what_it_means_there() {
    let mut command = Cli::command();
    let mut help = |name: &str| command.find_subcommand_mut(name).expect("it is one").render_long_help().to_string();
    assert!(help("redrive").contains("Only those that ended since") && help("list").contains("accepted since"));
}

#[test]
fn circuits_are_shown_watched_or_set() {
    let parse = |words: &[&str]| Cli::try_parse_from([&["holdfast", "circuits"], words].concat());
    for words in [
        [].as_slice(),
        &["--watch"],
        &["set", "search", "open", "--reason", "it loses orders"],
        &["set", "host:h:443", "close"],
        &["set", "search", "auto"],
    ] {
        assert!(parse(words).is_ok(), "{words:?}");
    }
    for words in [["set", "search"].as_slice(), &["set", "search", "ajar"], &["--watch", "set", "search", "open"]] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}

#[test]
fn state_is_the_service_and_with_a_command_its_client() {
    let parse = |words: &[&str]| Cli::try_parse_from([&["holdfast", "state"], words].concat());
    let at = ["accounts", "C-1", "balance"];
    for words in [
        [&["get"], at.as_slice()].concat(),
        [&["get"], at.as_slice(), &["--at-version", "-_8A"]].concat(),
        [&["put"], at.as_slice(), &["{}", "--version", "AAAA", "--ttl", "7d", "--cached"]].concat(),
        [&["delete"], at.as_slice(), &["--overwrite"]].concat(),
        [&["watch"], &at[..2]].concat(),
        [&["watch"], at.as_slice(), &["--after-version", "AAAA"]].concat(),
        vec!["restored"],
    ] {
        let cli = parse(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(matches!(cli.command, Command::Service(Service::State(State { command: Some(_) }))), "{words:?}");
    }
    for words in [
        [&["put"], at.as_slice(), &["{}", "--version", "AAAA", "--overwrite"]].concat(),
        [&["put"], at.as_slice(), &["{}", "--version", "not a version"]].concat(),
        [&["put"], at.as_slice(), &["{}", "--ttl", "soon"]].concat(),
        [&["get"], at.as_slice(), &["--at-version", "AAAA", "--max-staleness", "5s"]].concat(),
        [&["delete"], at.as_slice()].concat(),
        [&["watch"], &at[..2], &["--after-version", "AAAA"]].concat(),
        [&["get"], &at[..2]].concat(),
    ] {
        assert!(parse(&words).is_err(), "{words:?}");
    }
}

#[test]
fn a_rehearsal_is_of_a_scenario_or_lists_them() {
    let parse = |words: &[&str]| Cli::try_parse_from([&["holdfast", "rehearse"], words].concat());
    for words in [
        ["day-four"].as_slice(),
        &["mine.toml", "--volume", "12000", "--times", "10", "--seed", "7", "--report", "r.html", "--quick"],
        &["day-four", "--settings", "on"],
        &["day-four", "--address", "http://mesh:7070", "--simulator", "http://mesh:7076"],
        &["--list"],
    ] {
        assert!(parse(words).is_ok(), "{words:?}");
    }
    for words in [
        [].as_slice(),
        &["day-four", "--times", "0"],
        &["day-four", "--volume", "0"],
        &["day-four", "--settings", "both"],
    ] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}
