//! What the view is: what is known, and where its user has gone. It changes by events alone.

use std::collections::BTreeMap;
use std::time::Instant;

use holdfast_proto::queue::v1::InvocationState;
use holdfast_rpc::time::Micros;

use super::known::{Known, TroubleKind};
use super::panes::Pane;
use super::places::Places;
use crate::output::state_name;

/// A page of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    All,
    Services,
    Agents,
    Circuits,
    Models,
    State,
    Tokens,
    Invocations,
}

impl View {
    pub(crate) const ALL: [Self; 8] = [
        Self::All,
        Self::Services,
        Self::Agents,
        Self::Circuits,
        Self::Models,
        Self::State,
        Self::Tokens,
        Self::Invocations,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Services => "Services",
            Self::Agents => "Agents",
            Self::Circuits => "Circuits",
            Self::Models => "Models",
            Self::State => "State",
            Self::Tokens => "Tokens",
            Self::Invocations => "Invocations",
        }
    }

    /// The pane that the keys go to; the overview has none.
    pub(crate) fn pane(self) -> Option<Pane> {
        match self {
            Self::All => None,
            Self::Services => Some(Pane::Services),
            Self::Agents => Some(Pane::Agents),
            Self::Circuits => Some(Pane::Circuits),
            Self::Models => Some(Pane::Keys),
            Self::State => Some(Pane::Records),
            Self::Tokens => Some(Pane::Tokens),
            Self::Invocations => Some(Pane::Invocations),
        }
    }
}

/// How a pane is in order, and which of its rows is chosen.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// Past the last column: as it comes.
    pub(crate) sort: usize,
    pub(crate) reversed: bool,
    /// The id of the chosen row: it stays chosen while rows move.
    pub(crate) chosen: Option<String>,
    /// Where that was, for when it is gone.
    pub(crate) index: usize,
}

/// Which invocations are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Empty means all.
    pub(crate) agent: String,
    pub(crate) state: Option<InvocationState>,
}

impl Listing {
    pub(crate) fn words(&self) -> String {
        let state = self.state.map_or("all states", state_name);
        let agent = if self.agent.is_empty() { "all agents" } else { &self.agent };
        format!("{agent}, {state}: f changes it")
    }
}

/// What shall be asked for beside what always is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) listing: Option<Listing>,
    pub(crate) invocation: Option<String>,
}

/// One invocation that is looked into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inside {
    pub(crate) id: String,
    /// The row whose content is read, and the first line of it that is shown.
    pub(crate) reading: Option<(String, u16)>,
}

/// The whole view.
#[derive(Debug)]
pub(crate) struct State {
    /// The gateway's address, as it was named.
    pub(crate) address: String,
    pub(crate) only_gateway: bool,
    pub(crate) known: Known,
    pub(crate) now: Instant,
    pub(crate) wall: Micros,
    pub(crate) view: View,
    pub(crate) lists: BTreeMap<Pane, List>,
    pub(crate) listing: Listing,
    pub(crate) inside: Option<Inside>,
    pub(crate) help: bool,
    pub(crate) over: bool,
}

impl State {
    pub(crate) fn new(address: &str, places: &Places, now: Instant, wall: Micros) -> Self {
        let list = |pane: Pane| (pane, List { sort: pane.first_sort(), ..List::default() });
        Self {
            address: address.to_owned(),
            only_gateway: places.only_gateway,
            known: Known::new(places.services.clone()),
            now,
            wall,
            view: View::All,
            lists: Pane::ALL.map(list).into(),
            listing: Listing::default(),
            inside: None,
            help: false,
            over: false,
        }
    }

    pub(crate) fn list(&self, pane: Pane) -> &List {
        &self.lists[&pane]
    }

    pub(crate) fn list_mut(&mut self, pane: Pane) -> &mut List {
        self.lists.entry(pane).or_default()
    }

    /// The pane that the keys go to.
    pub(crate) fn pane(&self) -> Option<Pane> {
        if self.inside.is_some() { Some(Pane::Timeline) } else { self.view.pane() }
    }

    /// What is to be asked for now.
    pub(crate) fn wanted(&self) -> Wanted {
        let listed = self.view == View::Invocations;
        Wanted {
            listing: listed.then(|| self.listing.clone()),
            invocation: self.inside.as_ref().map(|inside| inside.id.clone()),
        }
    }

    /// Nobody answers at any of the gateway's addresses.
    pub(crate) fn gateway_is_lost(&self) -> bool {
        let mut gateways = self.known.of("gateway").peekable();
        let unreached = |kind| kind == TroubleKind::Unreached;
        gateways.peek().is_some()
            && gateways.all(|process| process.health.trouble().is_some_and(|trouble| unreached(trouble.kind)))
    }
}
