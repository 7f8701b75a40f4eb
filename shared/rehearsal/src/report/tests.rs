//! What the report owes its reader: it is well-formed, says what the document says, and lets nothing from outside be markup.

mod parsed;

use std::collections::BTreeSet;

use serde_json::Value;

use super::render;
use crate::Outcome;
use crate::outcome::{Bucket, Mark, Part, Promise, Seen, Side, Tenant};
use parsed::Parsed;

/// Figures that a side has, and that are no rows of the table.
const LISTS: [&str; 5] = ["reasons", "marks", "parts", "tenants", "series"];

fn side(harm: u64) -> Side {
    let bucket = |index: u64| Bucket {
        at_ms: index * 500,
        length_ms: 500,
        offered: 20 + index % 7,
        completed: 18 + index % 5,
        failed: harm * (index % 3),
        depth: harm * index * 9,
        wait_p50_ms: if index.is_multiple_of(9) { 0.0 } else { 40.0 + index as f64 },
        wait_p99_ms: if index.is_multiple_of(9) { 0.0 } else { 400.0 + harm as f64 * 90.0 * index as f64 },
        provider_429: harm * (index % 11),
        workers_busy: 7 + index % 4,
        workers_stalled: harm * (index % 6),
        ..Bucket::default()
    };
    Side {
        success_rate: 1.0 - harm as f64 * 0.271_3,
        offered: 12_000,
        succeeded: 12_000 - harm * 3_256,
        expired: harm * 3_256,
        lost_updates: Some(harm * 217),
        provider_429: harm * 3_004,
        stalled_worker_seconds: Some(harm as f64 * 412.75),
        wait_p99_ms: Some(1_204.062_5 + harm as f64 * 90_000.0),
        goodput_per_second: 41.3,
        depth_max: 60 + harm * 4_200,
        seconds: 61.2,
        reasons: if harm > 0 { vec![("DEADLINE_EXCEEDED".into(), 3_256)] } else { Vec::new() },
        marks: vec![
            Mark { from_ms: 0, until_ms: 30_000, text: "600 a day".into(), fault: false },
            Mark { from_ms: 30_000, until_ms: 32_000, text: "the tool hangs".into(), fault: true },
        ],
        series: (0..120).map(bucket).collect(),
        ..Side::default()
    }
}

fn outcome() -> Outcome {
    Outcome {
        scenario: "day-four".into(),
        title: "Twenty times the pilot's volume".into(),
        story: "A pilot ran well.\n\nThen came day four.".into(),
        factor: 20.0,
        seed: 7,
        terms: vec![("A day’s invocations".into(), "12,000".into())],
        off: Some(side(1)),
        on: side(0),
        failures: vec![Seen { name: "lost updates".into(), seen: true, detail: "217 of them".into() }],
        promises: vec![
            Promise { name: "no update is lost".into(), held: true, detail: "0 lost".into() },
            Promise { name: "no 429".into(), held: false, detail: "3 refused".into() },
        ],
    }
}

fn parsed(outcome: &Outcome) -> Parsed {
    Parsed::of(&render(outcome).expect("it can be written"))
}

#[test]
fn a_report_is_well_formed() {
    let report = parsed(&outcome());
    assert_eq!(report.errors(), Vec::<String>::new());
    assert_eq!(report.quirks(), "NoQuirks");
}

#[test]
fn a_report_needs_nothing_from_anywhere_and_runs_nothing() {
    let report = parsed(&outcome());
    for element in ["script", "link", "img", "iframe", "object", "embed", "base", "form"] {
        assert_eq!(report.elements(element).len(), 0, "{element}");
    }
    let style = report.elements("style").iter().map(|style| style.text()).collect::<String>();
    assert!(!style.contains("@import") && !style.contains("http"), "styles come from nowhere else");
    for (name, value) in report.attributes() {
        assert!(!["src", "href", "style"].contains(&&*name) && !name.starts_with("on"), "{name}={value}");
    }
}

#[test]
fn every_figure_of_the_document_stands_in_the_table_with_the_same_value() {
    let outcome = outcome();
    let (report, document) = (parsed(&outcome), serde_json::to_value(&outcome).expect("it has a JSON form"));
    let sides = [&document["off"], &document["on"]];
    let keys = sides[0].as_object().expect("an object").keys();
    for key in keys.filter(|key| !LISTS.contains(&key.as_str())) {
        let row = report.by_id(&format!("figure-{key}")).unwrap_or_else(|| panic!("{key} is in no row"));
        let shown = row.elements("data").iter().map(|cell| cell.attribute("value")).collect::<Vec<_>>();
        let shown =
            shown.iter().map(|value| serde_json::from_str::<Value>(value).expect("a number")).collect::<Vec<_>>();
        assert_eq!(shown, sides.map(|side| side[key].clone()), "{key}");
    }
}

#[test]
fn what_comes_from_outside_is_text() {
    let bad = "</style></title></svg><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='alert(3)&amp;";
    let mut outcome = outcome();
    for text in [&mut outcome.scenario, &mut outcome.title, &mut outcome.story] {
        *text = bad.into();
    }
    outcome.terms = vec![(bad.into(), bad.into())];
    outcome.promises[0] = Promise { name: bad.into(), held: false, detail: bad.into() };
    outcome.failures[0] = Seen { name: bad.into(), seen: false, detail: bad.into() };
    outcome.on.reasons = vec![(bad.into(), 1)];
    outcome.on.marks[0].text = bad.into();
    let (report, calm) = (parsed(&outcome), parsed(&self::outcome()));
    assert_eq!(report.errors(), Vec::<String>::new());
    let names = |report: &Parsed| report.names().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(names(&report), names(&calm), "no element came of it");
    assert!(report.attributes().iter().all(|(name, _)| !name.starts_with("on")));
    assert!(report.text().matches(bad).count() >= 9, "and all of it can be read");
}

#[test]
fn a_run_in_which_nothing_happened_is_told() {
    let nothing = Outcome { off: Some(Side::default()), on: Side::default(), ..outcome() };
    let report = parsed(&nothing);
    assert_eq!(report.errors(), Vec::<String>::new());
    assert!(!report.text().contains("Workers of the pool"), "nobody looked into it");
    for said in ["Nothing was offered", "Nothing waited", "The provider refused nothing"] {
        assert!(report.text().contains(said), "{said}");
    }
    assert!(!report.attributes().iter().any(|(_, value)| value.contains("NaN") || value.contains("inf")));
}

#[test]
fn phases_stand_beside_each_other_where_there_are_several() {
    let mut outcome = outcome();
    let part = |phase: &str, success_rate| Part { phase: phase.into(), offered: 9, success_rate, ..Part::default() };
    outcome.on.parts = vec![part("calm", 1.0), part("<surge>", 0.5)];
    let report = parsed(&outcome);
    assert_eq!(report.errors(), Vec::<String>::new());
    let text = report.text();
    assert!(text.contains("By phase") && text.contains("<surge>") && text.contains("50.00%"));
    assert!(!parsed(&self::outcome()).text().contains("By phase"));
}

#[test]
fn tenants_stand_by_themselves_where_they_are_told_apart() {
    let mut outcome = outcome();
    let part = |phase: &str, success_rate| Part { phase: phase.into(), offered: 9, success_rate, ..Part::default() };
    let (whole, parts) = (part("", 0.75), vec![part("<flood>", 0.25)]);
    outcome.on.tenants = vec![Tenant { tenant: "crawler".into(), whole, parts }];
    let report = parsed(&outcome);
    assert_eq!(report.errors(), Vec::<String>::new());
    let text = report.text();
    for said in ["By tenant", "crawler", "75.00%", "crawler, <flood>", "25.00%"] {
        assert!(text.contains(said), "{said}");
    }
    assert!(!parsed(&self::outcome()).text().contains("By tenant"));
}

#[test]
fn a_running_mesh_has_one_side_and_no_difference() {
    let report = parsed(&Outcome { off: None, ..outcome() });
    assert_eq!(report.errors(), Vec::<String>::new());
    assert!(!report.text().contains("As a pilot is built") && !report.text().contains("Difference"));
    let row = report.by_id("figure-lost_updates").expect("a row");
    assert_eq!(row.elements("data").len(), 1);
}

#[test]
fn every_picture_has_a_title_and_says_in_words_what_it_shows() {
    let report = parsed(&outcome());
    let pictures: Vec<_> = report.elements("svg").into_iter().filter(|svg| svg.attribute("role") == "img").collect();
    assert_eq!(pictures.len(), 12, "six subjects, two sides");
    let ids: Vec<_> = report.attributes().into_iter().filter(|(name, _)| name == "id").map(|(_, id)| id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id names one thing");
    for picture in pictures {
        let labels = picture.attribute("aria-labelledby");
        for label in labels.split(' ') {
            let said = report.by_id(label).unwrap_or_else(|| panic!("{label} is not there"));
            assert!(said.text().len() > 5, "{label}");
        }
    }
}

#[test]
fn held_and_broken_are_words_and_not_only_colours() {
    let report = parsed(&outcome());
    let states: Vec<_> = report.elements("li").iter().map(|item| item.text()).collect();
    assert!(states[0].contains("held") && states[1].contains("broken"), "{states:?}");
    assert!(report.text().contains("1 of 2 promises is broken: no 429."));
}

/// The least contrast at which text of this size can be read by most (WCAG 2, level AA).
const CONTRAST_MIN: f64 = 4.5;

#[test]
fn every_colour_of_words_can_be_read_on_its_paper() {
    let style = include_str!("style.css");
    let themes: Vec<_> =
        style.split(":root {").skip(1).map(|theme| &theme[..theme.find('}').expect("an end")]).collect();
    assert_eq!(themes.len(), 3, "light, dark and on paper");
    for theme in themes {
        let colour = |name: &str| luminance(theme.split(&format!("--{name}: #")).nth(1).expect("every theme has it"));
        for name in ["ink", "quiet", "off", "on"] {
            let (one, other) = (colour(name), colour("paper"));
            let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(contrast >= CONTRAST_MIN, "{name}: {contrast:.2}");
        }
    }
}

fn luminance(hex: &str) -> f64 {
    let digits = &hex[..hex.find(';').expect("a declaration ends")];
    let digits =
        if digits.len() == 3 { digits.chars().flat_map(|digit| [digit, digit]).collect() } else { digits.to_owned() };
    let light = |place: usize| {
        let channel = f64::from(u8::from_str_radix(&digits[place..place + 2], 16).expect("two digits")) / 255.0;
        if channel <= 0.040_45 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    };
    0.212_6 * light(0) + 0.715_2 * light(2) + 0.072_2 * light(4)
}
