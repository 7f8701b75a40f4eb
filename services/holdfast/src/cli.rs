//! The command line, as `holdfast --help` shows it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use holdfast_config::Peer;

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

Exit codes: 0 done, 1 the invocation failed, 2 usage or configuration, 3 refused or unreachable.";

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
    /// Check a configuration file: every section, and what its parts say of each other
    Check(Check),
}

/// The commands that are a service.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Service {
    /// Run the gateway: the door for callers
    Gateway,
    /// Run the queue: durable invocations, and leases for workers
    Queue,
    /// Run the state service: records with versions
    State,
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
    /// Show the circuit breakers of the tools
    Circuits,
}

impl Service {
    /// The process that it is in the mesh.
    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Gateway => Peer::Gateway,
            Self::Queue => Peer::Queue,
            Self::State => Peer::State,
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

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this agent type
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only this session
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Only these states: queued, leased, succeeded, failed, cancelled, dead
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = crate::output::parse_state)]
    pub(crate) state: Vec<holdfast_proto::queue::v1::InvocationState>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
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
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_service_of_the_mesh_is_a_command_of_its_own_name() {
        for peer in Peer::ALL {
            let cli = Cli::try_parse_from(["holdfast", peer.name()]).expect("it is a command");
            let Command::Service(service) = cli.command else { panic!("{} is a service", peer.name()) };
            assert_eq!(service.peer(), peer);
        }
    }

    #[test]
    fn the_global_options_stand_before_or_after_a_command() {
        for words in [["holdfast", "--json", "submit", "a", "{}"], ["holdfast", "submit", "a", "{}", "--json"]] {
            let cli = Cli::try_parse_from(words).expect("it is well-formed");
            assert!(cli.global.json && matches!(cli.command, Command::Client(Client::Submit(_))));
        }
    }
}
