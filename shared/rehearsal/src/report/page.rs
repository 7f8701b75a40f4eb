//! What the template shows, in the order in which it shows it.

use askama::Template;

use super::figures::{self, Rows};
use super::numbers::{Unit, count, decimal, share, span};
use super::plot::{self, Entry, Frame, Plot, Stretch};
use super::sentences;
use crate::Outcome;
use crate::outcome::{Part, Side};

/// The report.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    outcome: &'a Outcome,
    headline: String,
    verdict: String,
    /// By what times were divided; None where they were not.
    factor: Option<String>,
    cards: Vec<Card<'a>>,
    plots: Vec<Plot>,
    phases: Vec<Phase>,
    tenants: Vec<Phase>,
    chapters: Vec<Rows>,
}

/// What came of a phase, or of a tenant, each figure on all sides.
struct Phase {
    text: String,
    offered: String,
    figures: Vec<String>,
}

/// A side at a glance, and what only it has.
struct Card<'a> {
    class: &'static str,
    name: &'static str,
    /// As it stands in the document.
    rate: f64,
    rate_text: String,
    sentence: String,
    stretches: Vec<Stretch>,
    reasons: Vec<(&'a str, String)>,
    entries: Vec<Entry>,
}

impl<'a> Page<'a> {
    /// What is to be shown of an outcome.
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        Self {
            outcome,
            headline: sentences::headline(outcome),
            verdict: sentences::verdict(outcome),
            factor: (outcome.factor != 1.0).then(|| factor(outcome.factor)),
            cards: outcome.sides().map(|(class, side)| Card::of(class, side)).collect(),
            plots: plot::plots(outcome),
            phases: phases(outcome),
            tenants: tenants(outcome),
            chapters: figures::table(outcome),
        }
    }

    fn story(&self) -> impl Iterator<Item = &str> {
        self.outcome.story.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty())
    }

    /// Those of all sides, where they are the same.
    fn common_stretches(&self) -> Option<&[Stretch]> {
        let [first, others @ ..] = &self.cards[..] else { return None };
        let same = !first.stretches.is_empty() && others.iter().all(|card| card.stretches == first.stretches);
        same.then_some(&first.stretches)
    }

    fn has_stretches(&self) -> bool {
        self.cards.iter().any(|card| !card.stretches.is_empty())
    }

    fn has_reasons(&self) -> bool {
        self.cards.iter().any(|card| !card.reasons.is_empty())
    }

    fn is_kept(&self) -> bool {
        self.outcome.is_kept()
    }
}

impl Phase {
    /// A row, of what it came to on each side.
    fn of(text: String, offered: u64, sides: &[Part]) -> Self {
        let figures: [fn(&Part) -> String; 4] = [
            |part| share(part.success_rate),
            |part| Unit::PerSecond.write(part.goodput_per_second),
            |part| part.wait_p99_ms.map_or(figures::UNKNOWN.into(), span),
            |part| count(part.refusals),
        ];
        let figures = figures.iter().flat_map(|figure| sides.iter().map(figure)).collect();
        Self { text, offered: count(offered), figures }
    }
}

impl<'a> Card<'a> {
    fn of(class: &'static str, side: &'a Side) -> Self {
        Self {
            class,
            name: plot::name(class),
            rate: side.success_rate,
            rate_text: share(side.success_rate),
            sentence: sentences::side(side),
            stretches: plot::stretches(side),
            reasons: side.reasons.iter().map(|(reason, times)| (reason.as_str(), count(*times))).collect(),
            entries: plot::entries(side),
        }
    }
}

/// Each phase, where there are several.
fn phases(outcome: &Outcome) -> Vec<Phase> {
    let phase = |part: &Part| {
        let sides = outcome.sides().map(|(_, side)| side.part(&part.phase).cloned().unwrap_or_default());
        Phase::of(part.phase.clone(), part.offered, &sides.collect::<Vec<_>>())
    };
    if outcome.on.parts.len() < 2 { Vec::new() } else { outcome.on.parts.iter().map(phase).collect() }
}

/// Each tenant, at all and in each phase, where they are told apart.
fn tenants(outcome: &Outcome) -> Vec<Phase> {
    let row = |tenant: &str, phase: Option<&str>, part: &Part| {
        let of = |side: &Side| side.part_of(tenant, phase).cloned().unwrap_or_default();
        let text = phase.map_or_else(|| tenant.to_owned(), |phase| format!("{tenant}, {phase}"));
        Phase::of(text, part.offered, &outcome.sides().map(|(_, side)| of(side)).collect::<Vec<_>>())
    };
    let rows = outcome.on.tenants.iter().flat_map(|known| {
        let phases = known.parts.iter().map(|part| row(&known.tenant, Some(&part.phase), part));
        [row(&known.tenant, None, &known.whole)].into_iter().chain(phases)
    });
    rows.collect()
}

/// `20`, or `2.5`.
fn factor(factor: f64) -> String {
    if factor.fract() == 0.0 { count(factor as u64) } else { decimal(factor) }
}
