//! What `up` is to start, and with which settings: decided before anything is touched.

use std::path::{Path, PathBuf};

use holdfast_config::{Common, ConfigError, Document, Peer};
use holdfast_rpc::service::Settings;
use toml::Value;

use crate::cli::Up;
use crate::commands::check;
use crate::exit::Failure;
use crate::source::{Overrides, Source};

/// The services to start, where they listen, and what they are told.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) common: Common,
    /// What each child gets in its environment beside ours.
    pub(crate) overrides: Overrides,
    /// Each service with the address that it listens on.
    pub(crate) services: Vec<(Peer, String)>,
    data: PathBuf,
}

impl Plan {
    /// Reads the configuration with what the command line adds, and checks all of it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn make(arguments: &Up, source: Source) -> Result<Self, Failure> {
        let mut overrides = Overrides::new();
        let configured = source.load(&overrides)?;
        let data = match &arguments.data {
            Some(data) => data.clone(),
            None => Common::from_document(&configured)?.data.dir,
        };
        // The children and a later reader of `ps` shall mean the same directory.
        let data = std::path::absolute(&data).unwrap_or(data);
        overrides.insert("HOLDFAST_DATA__DIR".into(), data.display().to_string());
        if let Some(base) = arguments.port_base {
            overrides.extend(ports(&configured, base)?);
        }
        if !configured.has_section("telemetry") {
            // The lines of `up` are for people; the services speak when something is wrong.
            overrides.insert("HOLDFAST_TELEMETRY__LOG".into(), "warn".into());
            overrides.insert("HOLDFAST_TELEMETRY__LOG_FORMAT".into(), "text".into());
        }
        let document = source.load(&overrides)?;
        let problems = check::problems(&document);
        if !problems.is_empty() {
            return Err(Failure::Config(problems));
        }
        // The ports of `--port-base` name every service, also one that nobody wants.
        let simulates = names_simulator(&configured)?;
        let wanted = Peer::ALL.into_iter().filter(|peer| *peer != Peer::Simulator || simulates);
        let services = wanted.map(|peer| Ok((peer, address(peer, &document)?))).collect::<Result<_, ConfigError>>()?;
        Ok(Self { common: Common::from_document(&document)?, source, overrides, services, data })
    }

    /// Where everything is kept.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The services to start.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.services.iter().map(|(peer, _)| *peer).collect()
    }

    /// Whether the simulator is among them.
    pub(crate) fn simulates(&self) -> bool {
        self.services.iter().any(|(peer, _)| *peer == Peer::Simulator)
    }
}

/// Where a service listens.
fn address(peer: Peer, document: &Document) -> Result<String, ConfigError> {
    fn of<S: Settings>(document: &Document) -> Result<String, ConfigError> {
        S::from_document(document).map(|settings| settings.address().to_owned())
    }
    match peer {
        Peer::Gateway => of::<holdfast_gateway::Config>(document),
        Peer::Queue => of::<holdfast_queue::Config>(document),
        Peer::State => of::<holdfast_state::Config>(document),
        Peer::ToolProxy => of::<holdfast_tool_proxy::Config>(document),
        Peer::LlmProxy => of::<holdfast_llm_proxy::Config>(document),
        Peer::Agent => of::<holdfast_agent::Config>(document),
        Peer::Simulator => of::<holdfast_simulator::Config>(document),
    }
}

/// All services on ports from `base` on; hosts and schemes stay as configured.
fn ports(document: &Document, base: u16) -> Result<Overrides, ConfigError> {
    let mesh = Common::from_document(document)?.mesh;
    let mut overrides = Overrides::new();
    for peer in Peer::ALL {
        let port = base + peer.port_offset();
        let section = peer.section().to_uppercase();
        let listen = with_port(&address(peer, document)?, port);
        overrides.insert(format!("HOLDFAST_{section}__ADDRESS"), listen);
        overrides.insert(format!("HOLDFAST_MESH__{section}"), with_port(mesh.url(peer), port));
    }
    Ok(overrides)
}

/// `HOST:PORT`, or a URL that ends so, with another port.
pub(crate) fn with_port(address: &str, port: u16) -> String {
    let address = address.trim_end_matches('/');
    let host = match address.rsplit_once(':') {
        Some((host, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    };
    format!("{host}:{port}")
}

/// Whether the configuration names the simulator: by its section, or by a URL that stands for it.
pub(crate) fn names_simulator(document: &Document) -> Result<bool, ConfigError> {
    if document.has_section("simulator") {
        return Ok(true);
    }
    for section in ["tools", "providers", "models"] {
        if mentions_simulator(&document.section(section)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn mentions_simulator(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with("simulator:"),
        Value::Array(values) => values.iter().any(mentions_simulator),
        Value::Table(table) => table.values().any(mentions_simulator),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_changes_nothing_else() {
        for (address, moved) in [
            ("127.0.0.1:7070", "127.0.0.1:9000"),
            ("[::1]:7070", "[::1]:9000"),
            ("http://localhost:7070/", "http://localhost:9000"),
            ("https://mesh.example", "https://mesh.example:9000"),
        ] {
            assert_eq!(with_port(address, 9_000), moved);
        }
    }

    #[test]
    fn the_simulator_is_started_when_something_stands_for_it() {
        for (text, wanted) in [
            ("", false),
            ("[simulator]\n", true),
            ("[tools.a]\nurl = \"simulator:/tools/a\"\n", true),
            ("[providers.a]\nkeys = [{ x = \"simulator:/v1\" }]\n", true),
            ("[providers.a]\nurl = \"https://simulator.example\"\n", false),
        ] {
            let document = Document::parse("t.toml", text, []).expect("it is TOML");
            assert_eq!(names_simulator(&document), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn other_ports_start_no_simulator_for_which_nothing_stands() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("holdfast.toml");
        for (text, wanted) in [("", false), ("[simulator]\n", true)] {
            std::fs::write(&path, text).expect("it can be written");
            for port_base in [None, Some(9_000)] {
                let plan = Plan::make(&Up { data: None, port_base }, Source::File(path.clone())).expect("it holds");
                assert_eq!(plan.simulates(), wanted, "{text:?} from port {port_base:?} on");
            }
        }
    }
}
