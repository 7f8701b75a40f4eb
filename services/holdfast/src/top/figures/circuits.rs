//! Circuits: those of tools and hosts, of which each change is told, and those of databases and deployments, from the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::tool::v1::{self as pb, CircuitMode, CircuitState};
use holdfast_rpc::time;

use super::super::known::Known;

/// Whose circuits only their metrics tell of.
const OTHERS: [&str; 3] = ["queue", "state", "llm-proxy"];

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Closed,
    HalfOpen,
    Open,
}

/// One circuit.
#[derive(Debug, PartialEq)]
pub(crate) struct Circuit {
    pub(crate) name: String,
    pub(crate) standing: Standing,
    /// Of its window, where they are told: calls, failed and slow ones.
    pub(crate) window: Option<(u32, u32, u32)>,
    /// How long it has stood so.
    pub(crate) since: Option<Duration>,
    /// An operator's word keeps it so.
    pub(crate) by_hand: bool,
    pub(crate) reason: String,
}

impl Standing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// All of them; `now` is in microseconds of wall time.
pub(crate) fn circuits(known: &Known, now: time::Micros) -> Vec<Circuit> {
    let told = known.circuits.get().into_iter().flat_map(|circuits| circuits.values());
    told.map(|circuit| of_a_tool(circuit, now)).chain(of_others(known)).collect()
}

fn of_a_tool(circuit: &pb::Circuit, now: time::Micros) -> Circuit {
    let changed = circuit.changed_at.as_ref().and_then(time::micros);
    Circuit {
        name: circuit.name.clone(),
        standing: match circuit.state() {
            CircuitState::Open => Standing::Open,
            CircuitState::HalfOpen => Standing::HalfOpen,
            CircuitState::Closed | CircuitState::Unspecified => Standing::Closed,
        },
        window: Some((circuit.calls, circuit.failures, circuit.slow_calls)),
        since: changed.map(|at| Duration::from_micros(u64::try_from(now - at).unwrap_or(0))),
        by_hand: matches!(circuit.mode(), CircuitMode::Open | CircuitMode::Closed),
        reason: circuit.reason.clone(),
    }
}

/// What queue and state reach their databases by, and the llm-proxy its providers' models. Of several processes of a service
/// the worst counts.
fn of_others(known: &Known) -> impl Iterator<Item = Circuit> {
    let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
    for process in known.processes.iter().filter(|process| OTHERS.contains(&process.service.name)) {
        for sample in process.history.newest("holdfast_circuit_state") {
            let standing = match sample.value {
                2.0 => Standing::Open,
                1.0 => Standing::HalfOpen,
                _ => Standing::Closed,
            };
            let worst = standings.entry(sample.label("circuit").to_owned()).or_insert(standing);
            *worst = standing.max(*worst);
        }
    }
    let one =
        |(name, standing)| Circuit { name, standing, window: None, since: None, by_hand: false, reason: String::new() };
    standings.into_iter().map(one)
}
