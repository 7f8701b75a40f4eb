use holdfast_proto::queue::v1::InvocationState;
use holdfast_proto::tool::v1::CircuitState;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::event::{Key, Report};
use super::super::known::{Trouble, TroubleKind};
use super::super::stage::{ID, Stage, circuit, invocation, looked};
use super::*;

/// The smallest window that everything must fit.
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (160, 50);

fn drawn(stage: &Stage, (width, height): (u16, u16), colours: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen in memory");
    terminal.draw(|frame| render(frame, &stage.state, Theme { colours })).expect("it can be drawn");
    terminal
}

/// The screen as lines.
fn screen(stage: &Stage, size: (u16, u16)) -> Vec<String> {
    let terminal = drawn(stage, size, true);
    let buffer = terminal.backend().buffer();
    let symbols: Vec<_> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    symbols.chunks(size.0.into()).map(|line| line.concat().trim_end().to_owned()).collect()
}

/// The first line with a text.
#[track_caller]
fn line<'a>(screen: &'a [String], text: &str) -> &'a str {
    screen.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text:?} in\n{}", screen.join("\n")))
}

#[test]
fn everything_at_once_fits_the_smallest_window() {
    let screen = screen(&Stage::well(), SMALL);
    for title in ["Services", "Agents", "Circuits", "Keys and limits", "State", "Tokens"] {
        line(&screen, title);
    }
    for (name, figures) in [("queue", "serving"), ("disputes", "3"), ("lookup", "closed"), ("openai/main", "at once")] {
        assert!(line(&screen[2..], name).contains(figures), "{}", screen.join("\n"));
    }
    assert!(screen[0].contains("http://127.0.0.1:7070") && screen[0].ends_with("08:00:02 UTC"), "{}", screen[0]);
    assert!(screen[1].contains("8 Invocations") && screen[23].contains("? help"), "{}", screen.join("\n"));
}

#[test]
fn an_open_circuit_and_a_risen_depth_are_seen_at_once() {
    let mut stage = Stage::well();
    stage.depths(&[("disputes", 1_234, 2)]);
    stage.told(Report::Circuit(circuit("pay", CircuitState::Open)));
    for size in [SMALL, LARGE] {
        let screen = screen(&stage, size);
        assert!(line(&screen, "disputes ").contains("1.2k"), "{}", screen.join("\n"));
        let at = |text: &str| screen.iter().position(|line| line.contains(text)).expect("it is there");
        assert!(line(&screen, "pay ").contains("OPEN") && line(&screen[2..], "Circuits").contains("1 open"));
        assert!(at("pay ") < at("lookup "), "the open one comes first:\n{}", screen.join("\n"));
    }
}

#[test]
fn the_window_may_be_of_any_size() {
    let mut stage = Stage::well();
    stage.invocations(vec![invocation(ID, "disputes", InvocationState::Dead)]);
    for view in 0..8 {
        stage.keys(&[Key::View(view)]);
        for size in [(1, 1), (20, 5), (40, 12), (71, 23), SMALL, LARGE, (300, 100)] {
            drawn(&stage, size, true);
        }
    }
    stage.keys(&[Key::Help]);
    drawn(&stage, (10, 4), true);
}

#[test]
fn every_view_shows_its_figures_in_the_smallest_window() {
    let mut stage = Stage::well();
    for (view, texts) in [
        (1, ["llm-proxy", " 127.0.0.1:7074", "20"].as_slice()),
        (2, &["disputes", "oldest", "7.0 s"]),
        (3, &["lookup", "closed", "0/20"]),
        (4, &["openai/main", "requests", "250", "QUARANTINED", "openai/gpt", "1.5 s"]),
        (5, &["read, cache (sqlite)", "50", "500 µs", "conflicts"]),
        (6, &["disputes", "shop", "default", "100", "1.2k"]),
    ] {
        stage.keys(&[Key::View(view)]);
        let screen = screen(&stage, SMALL);
        for text in texts {
            line(&screen[2..], text);
        }
    }
}

#[test]
fn the_order_of_a_table_is_marked() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(2)]);
    line(&screen(&stage, SMALL), "waiting▼");
    stage.keys(&[Key::Reverse]);
    line(&screen(&stage, SMALL), "waiting▲");
}

#[test]
fn a_lost_mesh_is_said_with_its_reason_and_for_how_long_and_the_old_figures_as_old() {
    let mut stage = Stage::well();
    stage.lose();
    stage.pass(12);
    let lost = screen(&stage, SMALL);
    assert!(
        lost[2].starts_with("! the mesh is lost: no gateway for 12 s (the gateway cannot be reached)"),
        "{}",
        lost[2]
    );
    assert!(line(&lost[3..], "Agents").contains("not reached for 12 s") && line(&lost, "disputes ").contains('3'));
    stage = Stage::well();
    assert!(!screen(&stage, SMALL)[2].starts_with('!'));
}

#[test]
fn what_could_not_be_had_is_named_with_why() {
    let mut stage = Stage::well();
    let gone = Trouble { kind: TroubleKind::Unreached, why: "the state cannot be reached".into() };
    stage.told(Report::Health { process: 2, answer: Err(gone) });
    let denied = Trouble { kind: TroubleKind::Denied, why: "not for callers".into() };
    stage.told(Report::Depths(Err(denied)));
    stage.pass(3);
    let all = screen(&stage, SMALL);
    assert!(all[2].starts_with("! 1 more under 2; state at http://127.0.0.1:7072"), "{}", all[2]);
    assert!(line(&all[3..], "Agents").contains("needs an operator's key"), "{}", all.join("\n"));
    assert!(line(&all[3..], "state ").contains("gone 3 s"));
    stage.keys(&[Key::View(1)]);
    let services = screen(&stage, SMALL);
    line(&services, "What could not be had");
    line(&services, "depths: the key may not see them; an operator's may (--api-key)");
}

#[test]
fn an_invocation_shows_its_attempts_and_steps_in_their_order() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(7)]);
    stage.invocations(vec![invocation(ID, "disputes", InvocationState::Leased)]);
    stage.keys(&[Key::Into]);
    stage.told(Report::Looked { id: ID.into(), answer: Ok(Box::new(looked())) });
    let shown = screen(&stage, SMALL);
    assert!(
        line(&shown, ID).contains("leased  disputes") && line(&shown, "attempts 2").contains("tokens 30 in 12 out")
    );
    let order = ["queued", "leased   ", "attempt 1 on w-1: TOOL_UNAVAILABLE: pay is away", "attempt 2", "calls pay"];
    let places = order.map(|text| shown.iter().rposition(|line| line.contains(text)).expect(text));
    assert!(places[2] < places[3] && places[3] < places[4], "{places:?}\n{}", shown.join("\n"));
    assert!(
        shown[places[4]].contains("5.0 s") && shown[places[4]].contains("step 1") && shown[places[4]].contains("42")
    );
    stage.keys(&[Key::Last, Key::Into]);
    line(&screen(&stage, SMALL), "\"input_tokens\": 30");
}

#[test]
fn without_colours_nothing_is_coloured_and_nothing_is_lost() {
    let mut stage = Stage::well();
    stage.told(Report::Circuit(circuit("pay", CircuitState::Open)));
    let text = |terminal: &Terminal<TestBackend>| -> String {
        terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect()
    };
    let (plain, coloured) = (drawn(&stage, SMALL, false), drawn(&stage, SMALL, true));
    let is_plain = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
    assert!(plain.backend().buffer().content().iter().all(is_plain));
    assert!(!coloured.backend().buffer().content().iter().all(is_plain));
    assert_eq!(text(&plain), text(&coloured));
}

#[test]
fn what_comes_from_outside_cannot_steer_the_terminal() {
    let mut stage = Stage::well();
    stage.depths(&[("a\u{1b}[31mb\u{7}", 3, 0)]);
    for view in [0, 2] {
        stage.keys(&[Key::View(view)]);
        assert!(screen(&stage, SMALL).iter().all(|line| !line.chars().any(char::is_control)));
    }
}

#[test]
fn a_trouble_of_what_nobody_asks_for_any_more_is_not_told() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(7)]);
    let broke = Trouble { kind: TroubleKind::Unreached, why: "the connection broke".into() };
    stage.told(Report::Invocations { listing: stage.state.listing.clone(), answer: Err(broke) });
    line(&screen(&stage, SMALL), "! invocations, asked through the gateway: the connection broke");
    stage.keys(&[Key::View(0)]);
    assert!(!screen(&stage, SMALL)[2].starts_with('!'));
}
