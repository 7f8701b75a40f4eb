//! Which invocations have a whole trace: one root, no span without its parent, and everything of the invocation in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use super::census::Counted;

/// What an invocation's record says of it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Leases that it had at least: attempts and lost leases. Those that were handed back are not counted there.
    pub leases: usize,
    /// What it did for certain: nothing hangs below a call's span, so that nothing else tells that one is gone.
    pub did: &'static [Deed],
}

/// Something that an invocation did.
#[derive(Debug, Clone, Copy)]
pub struct Deed {
    /// Who did it.
    pub service: &'static str,
    /// How the names of its spans begin.
    pub name: &'static str,
    /// How often at least it came to its end.
    pub times: usize,
    /// What is wrong where fewer spans tell of it.
    pub missing: &'static str,
}

/// What the census comes to.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Invocations judged.
    pub invocations: usize,
    /// Those whose trace is whole.
    pub whole: usize,
    /// What is wrong with the others, and with how many.
    pub wrong: BTreeMap<&'static str, usize>,
    /// Some of them, for whoever looks into it.
    pub examples: Vec<String>,
    /// Spans, each counted once.
    pub spans: usize,
    /// Spans that came again: a life that was killed had sent them, and could not note it.
    pub repeated: usize,
    /// Spans that a killed process had open, told by its next life.
    pub cut: usize,
    /// Attempts whose worker was lost.
    pub lost: usize,
    /// Attempts that failed.
    pub failed: usize,
}

/// Judges every invocation that ended.
#[must_use]
pub fn judge(spans: Vec<Counted>, known: &HashMap<String, Known>) -> Verdict {
    let all = spans.len();
    let mut traces: HashMap<[u8; 16], HashMap<[u8; 8], Counted>> = HashMap::new();
    for span in spans {
        // What a killed process had open is told again by nobody but itself: an end that was sent is the better story.
        let told = traces.entry(span.trace).or_default().entry(span.id);
        told.and_modify(|old| {
            if is_cut(old) {
                *old = span.clone();
            }
        })
        .or_insert(span);
    }
    let each = || traces.values().flat_map(HashMap::values);
    let spans = each().count();
    let mut verdict = Verdict { invocations: known.len(), spans, repeated: all - spans, ..Verdict::default() };
    verdict.cut = each().filter(|span| is_cut(span)).count();
    let attempts = || each().filter(|span| span.name.starts_with("invoke_agent "));
    verdict.lost = attempts().filter(|span| span.error.as_deref() == Some("LEASE_LOST")).count();
    verdict.failed = attempts().filter(|span| span.error.is_some()).count() - verdict.lost;

    let mut homes: HashMap<&str, HashSet<[u8; 16]>> = HashMap::new();
    for span in each().filter(|span| !span.found) {
        if let Some(invocation) = &span.invocation {
            homes.entry(invocation).or_default().insert(span.trace);
        }
    }
    for (invocation, known) in known {
        let homes = homes.get(&**invocation).cloned().unwrap_or_default();
        let wrong = match homes.iter().collect::<Vec<_>>()[..] {
            [home] => wrong(invocation, &traces[home], *known),
            [] => Some("no trace"),
            _ => Some("several traces"),
        };
        let Some(wrong) = wrong else {
            verdict.whole += 1;
            continue;
        };
        *verdict.wrong.entry(wrong).or_default() += 1;
        if verdict.examples.len() < 3 {
            verdict.examples.push(shown(invocation, wrong, homes.iter().flat_map(|home| traces[home].values())));
        }
    }
    verdict
}

fn is_cut(span: &Counted) -> bool {
    span.error.as_deref() == Some("PROCESS_LOST")
}

/// What is wrong with a trace.
fn wrong(invocation: &str, spans: &HashMap<[u8; 8], Counted>, known: Known) -> Option<&'static str> {
    let of = |name: &str| {
        let its = |span: &&Counted| span.invocation.as_deref() == Some(invocation) && span.name.starts_with(name);
        spans.values().filter(its).count()
    };
    let (waits, attempts) = (of("queue.wait "), of("invoke_agent "));
    let is_orphan = |span: &Counted| span.parent.is_some_and(|parent| !spans.contains_key(&parent));
    match spans.values().filter(|span| span.parent.is_none()).count() {
        0 => Some("no root"),
        1 if spans.values().any(is_orphan) => Some("an orphan"),
        1 if of("enqueue ") != 1 => Some("not one acceptance"),
        1 if attempts < known.leases => Some("an attempt is missing"),
        1 if waits != attempts => Some("a wait is missing"),
        1 => known.did.iter().find(|deed| told(spans, deed) < deed.times).map(|deed| deed.missing),
        _ => Some("several roots"),
    }
}

/// Spans of what came to its end. What a kill cut short was done again, and that is what counts.
fn told(spans: &HashMap<[u8; 8], Counted>, deed: &Deed) -> usize {
    let tells = |span: &&Counted| *span.service == *deed.service && span.name.starts_with(deed.name) && !is_cut(span);
    spans.values().filter(tells).count()
}

fn shown<'a>(invocation: &str, wrong: &str, spans: impl Iterator<Item = &'a Counted>) -> String {
    let mut text = format!("{invocation}: {wrong}\n");
    let mut spans: Vec<_> = spans.collect();
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    spans.sort_by_key(|span| span.parent);
    for span in spans {
        let orphan = if span.parent.is_some_and(|parent| !ids.contains(&parent)) { "  ORPHAN" } else { "" };
        let parent = span.parent.map_or("root".to_owned(), |parent| hex(&parent));
        let error = span.error.as_deref().unwrap_or_default();
        writeln!(text, "  {:18} {:48} {} < {parent} {error}{orphan}", span.service, span.name, hex(&span.id))
            .expect("a text can be written");
    }
    text
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests;
