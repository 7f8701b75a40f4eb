//! The panes: what is known as tables.

mod agents;
mod circuits;
mod invocations;
mod models;
mod services;
mod timeline;
mod usage;

use super::known::{Source, TroubleKind};
use super::state::State;
use super::table::{Table, Tone};
use super::write;

pub(crate) use services::troubles;
pub(crate) use timeline::{content, head};

/// A table that the keys can go to, and how it is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pane {
    Services,
    Agents,
    Circuits,
    Keys,
    Lines,
    Records,
    Tokens,
    Invocations,
    /// What happened to the one invocation that is looked into.
    Timeline,
}

impl Pane {
    pub(crate) const ALL: [Self; 9] = [
        Self::Services,
        Self::Agents,
        Self::Circuits,
        Self::Keys,
        Self::Lines,
        Self::Records,
        Self::Tokens,
        Self::Invocations,
        Self::Timeline,
    ];

    /// The column by which it is in order at first.
    pub(crate) fn first_sort(self) -> usize {
        match self {
            // Standing: what is open comes first. What is freest comes last.
            Self::Agents | Self::Circuits => 1,
            Self::Keys => 3,
            Self::Tokens => 3,
            Self::Services | Self::Lines | Self::Records | Self::Invocations | Self::Timeline => usize::MAX,
        }
    }

    /// The rows in the order that is asked for.
    pub(crate) fn table(self, state: &State) -> Table {
        let mut table = match self {
            Self::Services => services::table(state),
            Self::Agents => agents::table(state),
            Self::Circuits => circuits::table(state),
            Self::Keys => models::keys(state),
            Self::Lines => models::lines(state),
            Self::Records => usage::records(state),
            Self::Tokens => usage::tokens(state),
            Self::Invocations => invocations::table(state),
            Self::Timeline => timeline::table(state),
        };
        let list = state.list(self);
        table.sort(list.sort, list.reversed);
        table
    }
}

/// What stands beside a title: the trouble of its source where there is one, else what it is of.
fn note<T>(source: &Source<T>, state: &State, else_: Option<&str>) -> Option<(String, Tone)> {
    let Some(trouble) = source.trouble() else {
        let waiting = (!source.is_told()).then_some("asking");
        return waiting.or(else_).map(|text| (text.to_owned(), Tone::Faint));
    };
    let age = write::age(source.for_how_long(state.now));
    Some(match trouble.kind {
        TroubleKind::Denied => ("needs an operator's key (--api-key)".to_owned(), Tone::Warn),
        TroubleKind::Unreached if source.get().is_some() => (format!("not reached for {age}: this is old"), Tone::Bad),
        TroubleKind::Unreached => (format!("not reached: {}", trouble.why), Tone::Bad),
        TroubleKind::Refused => (format!("refused: {}", trouble.why), Tone::Warn),
    })
}

/// The same for what comes from a service's own metrics page.
fn metrics_note(service: &str, state: &State, else_: Option<&str>) -> Option<(String, Tone)> {
    match state.known.of(service).find(|process| process.metrics.trouble().is_some()) {
        Some(process) => note(&process.metrics, state, else_),
        None => match state.known.of(service).next() {
            Some(process) => note(&process.metrics, state, else_),
            None => Some((format!("told by the {service} itself: its address is in a --config FILE"), Tone::Faint)),
        },
    }
}
