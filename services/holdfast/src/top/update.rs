//! What each event makes of the view.

use std::time::Instant;

use holdfast_proto::queue::v1::InvocationState;

use super::event::{Event, Key, Report};
use super::known::Source;
use super::panes::{self, Pane};
use super::state::{Inside, Listing, State, View};

/// Rows of a page, whatever the window's height.
const PAGE: isize = 10;
/// Lines of one, where a content is read.
const LINES: u16 = 10;

/// The states that invocations are listed by, one after the other.
const FILTERS: [Option<InvocationState>; 7] = [
    None,
    Some(InvocationState::Queued),
    Some(InvocationState::Leased),
    Some(InvocationState::Succeeded),
    Some(InvocationState::Failed),
    Some(InvocationState::Dead),
    Some(InvocationState::Cancelled),
];

impl State {
    /// Takes an event in.
    pub(crate) fn update(&mut self, event: Event, now: Instant) {
        self.now = now;
        match event {
            Event::Clock(wall) => self.wall = wall,
            Event::Told(report) => self.told(report),
            Event::Key(Key::Quit) => self.over = true,
            // Any key closes the help.
            Event::Key(_) if self.help => self.help = false,
            Event::Key(Key::Help) => self.help = true,
            Event::Key(key) => self.key(key),
        }
    }

    fn told(&mut self, report: Report) {
        let (now, known) = (self.now, &mut self.known);
        match report {
            Report::Health { process, answer } => {
                if let Some(process) = known.processes.get_mut(process) {
                    process.health.tell(answer, now);
                }
            }
            Report::Metrics { process, answer } => known.metrics(process, answer, now),
            Report::Depths(answer) => known.depths(answer, now),
            Report::Circuits(answer) => {
                let by_name = |circuit: holdfast_proto::tool::v1::Circuit| (circuit.name.clone(), circuit);
                known.circuits.tell(answer.map(|circuits| circuits.into_iter().map(by_name).collect()), now);
            }
            Report::Circuit(circuit) => match known.circuits.get_mut() {
                Some(circuits) => drop(circuits.insert(circuit.name.clone(), circuit)),
                None => known.circuits.tell(Ok([(circuit.name.clone(), circuit)].into()), now),
            },
            Report::Capacity(answer) => known.capacity.tell(answer, now),
            // An answer to what was asked before is none to what is asked now.
            Report::Invocations { listing, answer } if listing == self.listing => known.invocations.tell(answer, now),
            Report::Looked { id, answer } if self.inside.as_ref().is_some_and(|inside| inside.id == id) => {
                known.looked.tell(answer.map(|looked| *looked), now);
            }
            Report::Invocations { .. } | Report::Looked { .. } => {}
        }
    }

    fn key(&mut self, key: Key) {
        if self.read(key) {
            return;
        }
        match key {
            Key::View(number) => self.show(View::ALL.get(number).copied()),
            Key::NextView => self.step(1),
            Key::PreviousView => self.step(View::ALL.len() - 1),
            Key::Up => self.choose(|index, _| index - 1),
            Key::Down => self.choose(|index, _| index + 1),
            Key::PageUp => self.choose(|index, _| index - PAGE),
            Key::PageDown => self.choose(|index, _| index + PAGE),
            Key::First => self.choose(|_, _| 0),
            Key::Last => self.choose(|_, last| last),
            Key::Into => self.look_into(),
            Key::Back => self.back(),
            Key::Sort => self.sort(),
            Key::Reverse => {
                if let Some(pane) = self.pane() {
                    let list = self.list_mut(pane);
                    list.reversed = !list.reversed;
                }
            }
            Key::Filter if self.view == View::Invocations && self.inside.is_none() => {
                let next = FILTERS.iter().position(|state| *state == self.listing.state).map_or(0, |at| at + 1);
                let state = FILTERS[next % FILTERS.len()];
                self.list_invocations(Listing { agent: self.listing.agent.clone(), state });
            }
            Key::Filter | Key::Quit | Key::Help => {}
        }
    }

    /// Whether the key was for the content that is read.
    fn read(&mut self, key: Key) -> bool {
        let Some(Inside { reading: Some((_, line)), .. }) = &mut self.inside else { return false };
        match key {
            Key::Up => *line = line.saturating_sub(1),
            Key::Down => *line = line.saturating_add(1),
            Key::PageUp => *line = line.saturating_sub(LINES),
            Key::PageDown => *line = line.saturating_add(LINES),
            Key::First => *line = 0,
            Key::Back | Key::Into => self.back(),
            _ => return false,
        }
        true
    }

    fn step(&mut self, by: usize) {
        let at = View::ALL.iter().position(|view| *view == self.view).unwrap_or(0);
        self.show(Some(View::ALL[(at + by) % View::ALL.len()]));
    }

    fn show(&mut self, view: Option<View>) {
        if let Some(view) = view {
            self.view = view;
            self.inside = None;
        }
    }

    /// Moves the choice in the pane that the keys go to.
    fn choose(&mut self, to: impl FnOnce(isize, isize) -> isize) {
        let Some(pane) = self.pane() else { return };
        let (rows, chosen) = (pane.table(self).rows, self.chosen(pane));
        let last = rows.len() as isize - 1;
        let index = to(chosen.map_or(0, |(index, _)| index) as isize, last).clamp(0, last.max(0)) as usize;
        let list = self.list_mut(pane);
        list.index = index;
        list.chosen = rows.into_iter().nth(index).map(|row| row.id);
    }

    /// The chosen row of a pane and its place: the same row while it is there, else what stands in its place.
    pub(crate) fn chosen(&self, pane: Pane) -> Option<(usize, String)> {
        let (rows, list) = (pane.table(self).rows, self.list(pane));
        let found = list.chosen.as_ref().and_then(|chosen| rows.iter().position(|row| row.id == *chosen));
        let index = found.unwrap_or(list.index.min(rows.len().saturating_sub(1)));
        rows.into_iter().nth(index).map(|row| (index, row.id))
    }

    fn look_into(&mut self) {
        let Some((pane, (_, id))) = self.pane().and_then(|pane| Some((pane, self.chosen(pane)?))) else { return };
        match (pane, &mut self.inside) {
            (Pane::Timeline, Some(inside)) => inside.reading = Some((id, 0)),
            (Pane::Invocations, _) => {
                self.known.looked = Source::default();
                self.list_mut(Pane::Timeline).chosen = None;
                self.list_mut(Pane::Timeline).index = 0;
                self.inside = Some(Inside { id, reading: None });
            }
            // An agent type's invocations.
            (Pane::Agents, _) => {
                self.list_invocations(Listing { agent: id, state: None });
                self.view = View::Invocations;
            }
            _ => {}
        }
    }

    fn list_invocations(&mut self, listing: Listing) {
        if listing != self.listing {
            self.listing = listing;
            self.known.invocations = Source::default();
        }
    }

    /// One step out: of a content, of an invocation, of a filter.
    fn back(&mut self) {
        match &mut self.inside {
            Some(inside) if inside.reading.is_some() => inside.reading = None,
            Some(_) => self.inside = None,
            None if self.view == View::Invocations => self.list_invocations(Listing::default()),
            None => self.view = View::All,
        }
    }

    fn sort(&mut self) {
        let Some(pane) = self.pane() else { return };
        let columns = pane.table(self).columns.len();
        let list = self.list_mut(pane);
        list.sort = if list.sort >= columns { 0 } else { list.sort + 1 };
        list.reversed = false;
    }

    /// The content that is read, where one is.
    pub(crate) fn reading(&self) -> Option<(String, u16)> {
        let (id, line) = self.inside.as_ref()?.reading.as_ref()?;
        Some((panes::content(self, id)?, *line))
    }
}

#[cfg(test)]
mod tests;
