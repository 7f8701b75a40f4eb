//! What happens to the view: a key, a moment, or news of the mesh.

use holdfast_proto::llm::v1::ProviderCapacity;
use holdfast_proto::queue::v1::Invocation;
use holdfast_proto::queue::v1::list_depths_response::Depth;
use holdfast_proto::tool::v1::Circuit;
use holdfast_rpc::time::Micros;

use super::known::{Health, Looked, Trouble};
use super::metrics::Page;
use super::state::Listing;

#[derive(Debug)]
pub(crate) enum Event {
    Key(Key),
    /// The wall clock, for ages.
    Clock(Micros),
    Told(Report),
}

/// What a key means, wherever it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Quit,
    Help,
    /// The view of a number.
    View(usize),
    NextView,
    PreviousView,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Look into what is chosen.
    Into,
    /// Back out of it.
    Back,
    /// Order by the next column.
    Sort,
    /// The other way round.
    Reverse,
    /// Only some invocations.
    Filter,
}

type Answer<T> = Result<T, Trouble>;

/// What one of the duties has found.
#[derive(Debug)]
pub(crate) enum Report {
    Health {
        process: usize,
        answer: Answer<Health>,
    },
    Metrics {
        process: usize,
        answer: Answer<Page>,
    },
    Depths(Answer<Vec<Depth>>),
    /// All of them.
    Circuits(Answer<Vec<Circuit>>),
    /// One that has changed.
    Circuit(Circuit),
    Capacity(Answer<Vec<ProviderCapacity>>),
    Invocations {
        listing: Listing,
        answer: Answer<Vec<Invocation>>,
    },
    Looked {
        id: String,
        answer: Answer<Box<Looked>>,
    },
}
