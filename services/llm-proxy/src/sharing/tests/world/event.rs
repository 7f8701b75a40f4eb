use std::time::Duration;

use crate::sharing::round::{Answer, MemberId, Round};

#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) less: u64,
    pub(super) lasts: u64,
}

/// A call on its way, of one life of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) at: usize,
    pub(super) id: u64,
    pub(super) call: Call,
    /// When its arrival was certain, by its process's clock.
    pub(super) arrived: Duration,
}

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Comes(usize),
    Wakes(usize),
    Arrives(Flight),
    /// Its process hears that it has arrived,
    Answered(Flight),
    /// and that it is over.
    Over(Flight),
    /// At the provider.
    Ends {
        number: u64,
        output: u64,
    },
    Asked {
        at: usize,
        id: u64,
        number: u64,
        life: u64,
        round: Box<Round>,
    },
    Heard {
        at: usize,
        id: u64,
        number: u64,
        answer: Answer,
    },
    /// It has not been answered yet.
    Late {
        at: usize,
        id: u64,
        number: u64,
    },
    Lost {
        at: usize,
        id: u64,
        number: u64,
    },
    Called(MemberId),
    Trouble,
}

impl Event {
    /// To which process it happens, where it waits while that one is paused.
    pub(super) fn of(&self) -> Option<usize> {
        match self {
            Self::Comes(at) | Self::Wakes(at) => Some(*at),
            Self::Heard { at, .. } | Self::Late { at, .. } | Self::Lost { at, .. } => Some(*at),
            Self::Answered(flight) | Self::Over(flight) => Some(flight.at),
            Self::Called(_) | Self::Arrives(_) | Self::Ends { .. } | Self::Asked { .. } | Self::Trouble => None,
        }
    }
}
