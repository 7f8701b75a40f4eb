use toml::Table;

use super::*;
use crate::day::Terms;

const DAY: &str = include_str!("../../scenarios/day-four.toml");

#[test]
fn the_built_in_scenarios_hold() {
    for (name, title) in Scenario::all() {
        assert_eq!(Scenario::find(&name).expect("it holds").title, title);
    }
}

#[test]
fn what_does_not_hold_is_named_with_its_line_and_key() {
    let line =
        |text: &str, wanted: &str| text.lines().position(|line| line.starts_with(wanted)).expect("it is there") + 1;
    for (from, into, key, why) in [
        ("factor = ", "factor = 0.5 #", "time.factor", "must be at least 1"),
        ("deadline = ", "deadline = 5 #", "time.deadline", "a span of time"),
        ("workers = ", "wrokers = 10 #", "pool.wrokers", "unknown field"),
        ("writes = ", "writes = \"boldly\" #", "off.writes", "unknown variant"),
    ] {
        let text = DAY.replacen(from, into, 1);
        let error = Scenario::parse("s.toml", &text).expect_err("it does not hold").to_string();
        let start = format!("s.toml:{}: {key}: ", line(&text, into));
        assert!(error.starts_with(&start) && error.contains(why), "{error}, not {start}… {why}");
    }
}

#[test]
fn a_promise_is_about_a_figure_that_exists() {
    let text = DAY.replacen("figure = \"lost_updates\"", "figure = \"lost_hope\"", 1);
    let error = Scenario::parse("s.toml", &text).expect_err("there is no such figure").to_string();
    assert!(error.contains("lost_hope") && error.contains("provider_429"), "{error}");
}

#[test]
fn what_could_never_be_played_is_refused_and_not_tried() {
    for (from, into, key) in [
        ("[quick]\nfactor = 25", "[quick]\nfactor = 0", "quick.factor"),
        ("a_day = 12000", "a_day = 12000\ntimes = nan", "volume.times"),
        ("text = \"pilot\"", "text = \"day four\"", "phases"),
        ("length = \"40m\"", "length = \"0s\"", "phases"),
        ("at_least = 0.999\n", "", "promises"),
    ] {
        assert!(DAY.contains(from), "{from}");
        let error = Scenario::parse("s.toml", &DAY.replacen(from, into, 1)).expect_err(into).to_string();
        assert!(error.contains(&format!("{key}: ")), "{error}");
    }
}

#[test]
fn a_short_form_and_the_command_line_are_checked_too() {
    let refused = |scenario: &Scenario, terms| scenario.check(terms).expect_err("it does not hold").to_string();
    let day = Scenario::find("day-four").expect("it is built in");
    let many = Terms { volume: Some(100_000_000), times: Some(10_000.0), seed: None };
    assert!(refused(&day, many).contains("volume: "));
    let longer = Scenario::parse(
        "s.toml",
        &DAY.replace("quick = \"", "length = \"").replacen("length = \"40m\"\n", "", 1).replacen(
            "length = \"8h\"\n",
            "",
            1,
        ),
    );
    assert!(refused(&longer.expect("it holds").quick(), Terms::default()).contains("phases: "));
    let own = Scenario::find("ten-times").expect("it is built in").of_own(Written::default(), Path::new("."));
    assert!(refused(&own, Terms::default()).contains("[agents.NAME]"));
    for (name, _) in Scenario::all() {
        let scenario = Scenario::find(&name).expect("it is built in");
        assert_eq!(scenario.check(Terms::default()), Ok(()));
        assert_eq!(scenario.quick().check(Terms::default()), Ok(()));
    }
}

#[test]
fn a_name_that_is_nothing_says_what_there_is() {
    let error = Scenario::find("day-five").expect_err("there is none").to_string();
    assert!(error.contains("day-four"), "{error}");
}

#[test]
fn both_sides_live_in_the_same_compressed_time_with_settings_of_their_own() {
    let scenario = Scenario::find("day-four").expect("it is built in");
    let side = |which| scenario.configuration(which, 7).parse::<Table>().expect("it is TOML");
    let (off, on) = (side(Which::Off), side(Which::On));
    for table in [&off, &on] {
        let hang = table["simulator"]["tools"]["risk_score"]["faults"]["hang_for"].as_str().expect("a span");
        let hang = humantime::parse_duration(hang).expect("a span");
        assert!((hang.as_secs_f64() * scenario.time.factor - 30.0).abs() < 0.01, "{hang:?}");
        assert_eq!(table["simulator"]["seed"].as_integer(), Some(7));
    }
    assert_ne!(off["queue"], on["queue"]);
    assert_ne!(off["tools"]["risk_score"]["timeout"], on["tools"]["risk_score"]["timeout"]);
    assert_eq!(off["simulator"], on["simulator"], "the world outside is the same for both");
}

#[test]
fn a_short_form_is_the_same_story_with_fewer_invocations() {
    let whole = Scenario::find("day-four").expect("it is built in");
    let quick = whole.clone().quick();
    let length = |scenario: &Scenario| scenario.phases.iter().map(|phase| *phase.length).sum::<std::time::Duration>();
    assert!(length(&quick) < length(&whole) && !quick.promises.is_empty() && !quick.failures.is_empty());
    assert_eq!(whole.short_form(9), None);
    assert_eq!(
        quick.short_form(9).as_deref(),
        Some("9 invocations; not judged: success rate"),
        "nobody takes it for the whole"
    );
}

#[test]
fn what_the_fourth_day_says_of_the_mesh_ends_within_the_time_of_its_callers() {
    // What a scenario does not set keeps its own pace: at 120 times, a minute of the clock is two hours.
    let scenario = Scenario::find("day-four").expect("it is built in");
    let on = scenario.configuration(Which::On, 4).parse::<Table>().expect("it is TOML");
    let deadline = scenario.pace().here(*scenario.time.deadline);
    for key in [
        "queue.retry_after_max",
        "tool_proxy.state_timeout",
        "tool_proxy.record_for",
        "tool_proxy.host_breaker.open",
        "tools.risk_score.breaker.open_max",
        "providers.simulated.cooldown",
        "providers.simulated.breaker.open_max",
    ] {
        let mut parts = key.split('.');
        let section = &on[parts.next().expect("a section")];
        let span = parts.fold(section, |table, part| &table[part]).as_str().expect("a span");
        assert!(humantime::parse_duration(span).expect("a span") < deadline, "{key} = {span}");
    }
}
