//! The command line, as `holdfast --help` shows it.

mod circuits;
mod rehearse;
mod state;
mod tools;
mod top;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{ArgGroup, Args, Parser, Subcommand};
use holdfast_config::Peer;
use holdfast_proto::queue::v1::InvocationState;

use crate::times;

pub(crate) use circuits::{Circuits, CircuitsCommand, CircuitsSet};
pub(crate) use rehearse::Rehearse;
pub(crate) use state::{
    State, StateAddress, StateCommand, StateDelete, StateGet, StateHistory, StateList, StateLocks, StatePut, StateWatch,
};
pub(crate) use tools::{Tools, ToolsCall, ToolsCommand, ToolsList};
pub(crate) use top::Top;

/// Reliability infrastructure for AI agents: durable queueing, consistent state, guarded tools and models.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Start here:  holdfast up
Then:        holdfast submit disputes '{\"customer_id\":\"C-1001\",\"message\":\"I did not make this payment\"}' --wait

Exit codes: 0 done, 1 the invocation or the tool failed or a rehearsal's promise is broken, 2 usage or configuration, 3 refused or unreachable.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration; without it, holdfast.toml in this directory, or else the built-in demonstration
    #[arg(long, global = true, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The gateway's URL; without it, mesh.gateway of the configuration
    #[arg(long, global = true, value_name = "URL", env = "HOLDFAST_ADDRESS")]
    pub(crate) address: Option<String>,
    /// The API key, as env:NAME or file:PATH
    #[arg(long, global = true, value_name = "REF", env = "HOLDFAST_API_KEY_REF")]
    pub(crate) api_key: Option<String>,
    /// Print JSON: one document, or one per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole mesh on this machine, each service in a process of its own
    Up(Up),
    #[command(flatten)]
    Service(Service),
    #[command(flatten)]
    Client(Client),
    /// Play a day before it comes: at its volume and with its faults, without protection and with it
    Rehearse(Rehearse),
    /// Show how the mesh stands, live: services, work, circuits, models, state, tokens, invocations
    Top(Top),
    /// Check a configuration file: every section, and what its parts say of each other
    Check(Check),
}

/// The commands that are a service.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Service {
    /// Run the gateway: the door for callers
    Gateway,
    /// Run the queue: durable invocations, and leases for workers
    Queue,
    /// Run the state service: records with versions; or, with a command, read and write records
    State(State),
    /// Run the tool-proxy: tools behind breakers
    ToolProxy,
    /// Run the llm-proxy: model calls that wait their turn
    LlmProxy,
    /// Run the agent pool: leases invocations and runs the agents
    Agent,
    /// Run the simulator: a simulated model provider and tools
    Simulator,
}

/// The commands that speak to a gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Submit an invocation
    Submit(Submit),
    /// Show an invocation
    Get(Id),
    /// Follow an invocation's events to its end
    Watch(Watch),
    /// List invocations, newest first
    List(List),
    /// Cancel an invocation, running or not
    Cancel(Cancel),
    /// Let invocations that ended without success run again
    Redrive(Redrive),
    /// List the tools, or call one
    Tools(Tools),
    /// Show the circuit breakers of tools and hosts; or, with a command, open and close one
    Circuits(Circuits),
}

impl Service {
    /// The process that it is in the mesh.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Self::Gateway => Peer::Gateway,
            Self::Queue => Peer::Queue,
            Self::State(_) => Peer::State,
            Self::ToolProxy => Peer::ToolProxy,
            Self::LlmProxy => Peer::LlmProxy,
            Self::Agent => Peer::Agent,
            Self::Simulator => Peer::Simulator,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where everything is kept; without it, data.dir of the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The gateway's port; the other services take the ones after it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_529))]
    pub(crate) port_base: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The agent type
    pub(crate) agent: String,
    /// The input; - reads it from standard input
    #[arg(value_name = "JSON")]
    pub(crate) input: String,
    /// Invocations of one session run one at a time, in order
    #[arg(long, value_name = "S")]
    pub(crate) session: Option<String>,
    /// The same key and input is the same invocation; without it, one is minted
    #[arg(long, value_name = "K")]
    pub(crate) idempotency_key: Option<String>,
    /// Wait for the end and print the answer
    #[arg(long)]
    pub(crate) wait: bool,
    /// When the work must be done by, from now, such as 90s or 5m
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,
    /// Do not start it before this time: a span from now, such as 10m, or a moment in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = times::coming)]
    pub(crate) not_before: Option<SystemTime>,
    /// From -100 to 100; higher is started first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub(crate) priority: i32,
    /// A mark to find it by; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = times::label)]
    pub(crate) label: Vec<(String, String)>,
    /// Attempts in all, the first included; without it, the queue's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts: Option<u32>,
    /// The longest first delay between attempts; each is drawn evenly from nothing to its bound
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) backoff: Option<Duration>,
    /// The longest delay between attempts
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) backoff_max: Option<Duration>,
    /// The factor between one delay's bound and the next
    #[arg(long, value_name = "FACTOR")]
    pub(crate) backoff_multiplier: Option<f64>,
    /// A failure reason that is not worth another attempt; may be given several times
    #[arg(long, value_name = "REASON")]
    pub(crate) final_reason: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The invocation
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The invocation
    pub(crate) id: String,
    /// The first event wanted
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    pub(crate) from: u64,
}

/// Which invocations are meant. What is given must all hold.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only this agent type
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only this session
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Only these states: queued, leased, succeeded, failed, cancelled, dead
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = crate::output::parse_state)]
    pub(crate) state: Vec<InvocationState>,
    /// Only with this label; several must all be there
    #[arg(long, value_name = "NAME=VALUE", value_parser = times::label)]
    pub(crate) label: Vec<(String, String)>,
    /// Only those accepted since: a span back from now, such as 2h, or a moment in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    pub(crate) since: Option<SystemTime>,
    /// Only those accepted before
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    pub(crate) until: Option<SystemTime>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

/// Without ids, at least one part of the filter must be given: `--state dead` means all that is dead.
#[derive(Debug, Args)]
#[command(mut_arg("state", |state| state.help("Only these states: failed, cancelled, dead; without it, dead")))]
#[command(mut_arg("since", |since| since.help("Only those that ended since: a span back from now, or a moment")))]
#[command(mut_arg("until", |until| until.help("Only those that ended before")))]
#[command(group(ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "agent", "session", "state", "label", "since", "until"])))]
pub(crate) struct Redrive {
    /// These invocations
    #[arg(value_name = "ID", conflicts_with_all = ["agent", "session", "state", "label", "since", "until"])]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most this many of the filter's, the oldest first
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: usize,
    /// Only say which
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// When the work must be done by now: a span from now, or a moment; without it, the old deadline is lifted
    #[arg(long, value_name = "TIME", value_parser = times::coming)]
    pub(crate) deadline: Option<SystemTime>,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The invocation
    pub(crate) id: String,
    /// Why, for its record
    #[arg(long, default_value = "cancelled on the command line")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file
    pub(crate) file: PathBuf,
}

#[cfg(test)]
mod tests;
