//! What the supervisor hears and says.

use std::time::Duration;

use holdfast_config::Peer;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A service says that it serves.
    Ready(Peer),
    /// A service's process is gone.
    Exited(Peer, Exit),
    /// The user wants the end; a second time: at once.
    Stop,
    /// Time has passed.
    Tick,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// For people: "exit code 3", "killed by signal 9".
    pub(crate) how: String,
    /// True where another start would end alike: the configuration does not hold.
    pub(crate) hopeless: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start its process.
    Start(Peer),
    /// Let it drain.
    Drain(Peer),
    /// End it at once.
    Kill(Peer),
    /// Tell the user.
    Say(Line),
    /// All is over.
    End(Outcome),
}

/// What the user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A service serves.
    Ready(Peer),
    /// All services serve, for the first time.
    AllReady,
    /// A service died; it is started again after a pause.
    Died { peer: Peer, how: String, restart_in: Duration },
    /// A service cannot run with this configuration.
    Hopeless { peer: Peer, how: String },
    /// The end begins.
    Draining,
    /// A service did not drain in time.
    Overdue(Peer),
}

/// How `up` itself ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As the user wished.
    Stopped,
    /// A service cannot run.
    Failed,
}
