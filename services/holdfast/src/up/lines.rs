//! What `up` tells its user.

use holdfast_config::{Mesh, Peer};
use serde_json::{Value, json};

use super::events::Line;
use super::plan::Plan;
use crate::output::Output;
use crate::source::Source;

/// Says what happens, for people or as one JSON document per line.
pub(crate) struct Lines {
    output: Output,
    source: Source,
    mesh: Mesh,
    data: String,
    simulates: bool,
    command: String,
}

impl Lines {
    pub(crate) fn new(plan: &Plan, output: Output) -> Self {
        Self {
            output,
            source: plan.source.clone(),
            mesh: plan.common.mesh.clone(),
            data: plan.data().display().to_string(),
            simulates: plan.simulates(),
            command: typed(),
        }
    }

    /// Before the first service starts.
    pub(crate) fn opening(&self) {
        let configuration = match &self.source {
            Source::File(path) => path.display().to_string(),
            Source::Demo => "the built-in demonstration: SIMULATED model and tools".into(),
        };
        self.output.print(
            || json!({"event": "starting", "configuration": configuration, "data": self.data}),
            || {
                format!(
                    "holdfast {}\n  configuration  {configuration}\n  data           {}\n",
                    env!("CARGO_PKG_VERSION"),
                    self.data
                )
            },
        );
    }

    /// After the last one has ended.
    pub(crate) fn closing(&self) {
        let data = &self.data;
        self.output
            .print(|| json!({"event": "stopped", "data": data}), || format!("Stopped. Everything stays in {data}."));
    }

    pub(crate) fn say(&self, line: &Line) {
        match line {
            Line::Died { .. } | Line::Hopeless { .. } | Line::Overdue(_) => {
                self.output.fail(|| self.document(line), || self.text(line));
            }
            _ => {
                self.output.print(|| self.document(line), || self.text(line));
            }
        }
    }

    fn text(&self, line: &Line) -> String {
        match line {
            Line::Ready(peer) => {
                let note = if *peer == Peer::Simulator { "  SIMULATED model provider and tools" } else { "" };
                format!("  {:<11}  ready  {}{note}", peer.name(), self.mesh.url(*peer))
            }
            Line::AllReady => self.what_next(),
            Line::Died { peer, how, restart_in } => {
                format!("  {:<11}  died   {how}; starting it again in {restart_in:?}", peer.name())
            }
            Line::Hopeless { peer, how } => {
                format!("  {:<11}  cannot run with this configuration ({how}; see above): stopping", peer.name())
            }
            Line::Draining => "\nDraining: what is accepted stays. Ctrl-C again ends it at once.".into(),
            Line::Overdue(peer) => format!("  {:<11}  did not drain in time: killed", peer.name()),
        }
    }

    fn document(&self, line: &Line) -> Value {
        match line {
            Line::Ready(peer) => json!({"event": "ready", "service": peer.name(), "url": self.mesh.url(*peer)}),
            Line::AllReady => json!({"event": "all_ready", "gateway": self.mesh.gateway, "simulated": self.simulates}),
            Line::Died { peer, how, restart_in } => {
                let restart_in_ms = restart_in.as_millis() as u64;
                json!({"event": "died", "service": peer.name(), "how": how, "restart_in_ms": restart_in_ms})
            }
            Line::Hopeless { peer, how } => json!({"event": "cannot_run", "service": peer.name(), "how": how}),
            Line::Draining => json!({"event": "draining"}),
            Line::Overdue(peer) => json!({"event": "overdue", "service": peer.name()}),
        }
    }

    fn what_next(&self) -> String {
        let mut command = self.command.clone();
        // Without --config the client commands look at the default address.
        match &self.source {
            _ if self.mesh.gateway != Mesh::default().gateway => {
                command += &format!(" --address {}", self.mesh.gateway)
            }
            Source::File(path) if path.as_os_str() != holdfast_rpc::service::DEFAULT_FILE => {
                command += &format!(" --config {}", path.display());
            }
            _ => {}
        }
        let submit = match self.source {
            Source::Demo => {
                r#"submit disputes '{"customer_id":"C-1001","message":"I did not make this payment"}' --wait"#
            }
            Source::File(_) => "submit AGENT '{\"your\":\"input\"}' --wait",
        };
        let tries = [submit, "list", "circuits"].map(|arguments| format!("  {command} {arguments}"));
        format!("\nThe mesh is up. Try, in another terminal:\n\n{}\n\nCtrl-C drains and stops it.", tries.join("\n"))
    }
}

/// This command as the user can type it again.
fn typed() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') { called } else { "holdfast".into() }
}
