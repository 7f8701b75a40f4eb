//! Where the processes of the mesh are, as far as the configuration says.

use holdfast_config::{ConfigError, Document, Mesh, Peer, Urls};
use serde::Deserialize;

use crate::cli::{Global, Top};
use crate::exit::Failure;
use crate::source::{Overrides, Source};
use crate::up::plan;

/// One process of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// The service, as its command is named.
    pub(crate) name: &'static str,
    /// Its base URL.
    pub(crate) address: String,
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) services: Vec<Service>,
    /// Only the gateway is known: nobody has named a configuration.
    pub(crate) only_gateway: bool,
}

/// `[mesh]` without its secrets: whoever looks need not be able to read them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MeshPart {
    queue: Option<Urls>,
    state: Option<Urls>,
    tool_proxy: Option<String>,
    llm_proxy: Option<String>,
    agent: Option<String>,
    simulator: Option<String>,
}

/// The services in the order of the view.
const ORDER: [Peer; 6] = [Peer::Queue, Peer::State, Peer::ToolProxy, Peer::LlmProxy, Peer::Agent, Peer::Simulator];

/// What the command line and the configuration say. `gateways` are the gateway's addresses.
pub(crate) fn find(global: &Global, arguments: &Top, gateways: &[String]) -> Result<Places, Failure> {
    let service = |peer: Peer, address: &str| Service { name: peer.name(), address: address.to_owned() };
    let mut services: Vec<_> = gateways.iter().map(|address| service(Peer::Gateway, address)).collect();
    // An address on the command line stands for itself, unless a file or ports are named beside it.
    let named = global.config.is_some() || arguments.port_base.is_some();
    if global.address.is_some() && !named {
        return Ok(Places { services, only_gateway: true });
    }
    let document = Source::find(global.config.as_deref()).load(&Overrides::new())?;
    let mesh: MeshPart = document.section("mesh")?;
    for peer in wanted(&document)? {
        for address in mesh.urls(peer) {
            let address = match arguments.port_base {
                Some(base) => plan::with_port(&address, base + peer.port_offset()),
                None => address,
            };
            services.push(service(peer, &address));
        }
    }
    Ok(Places { services, only_gateway: false })
}

/// All services, and the simulator where there is one.
fn wanted(document: &Document) -> Result<impl Iterator<Item = Peer>, ConfigError> {
    let simulates = plan::names_simulator(document)?;
    Ok(ORDER.into_iter().filter(move |peer| *peer != Peer::Simulator || simulates))
}

impl MeshPart {
    fn urls(&self, peer: Peer) -> Vec<String> {
        let several = |urls: &Option<Urls>| urls.as_ref().map(|urls| urls.all().to_vec());
        let one = |url: &Option<String>| url.clone().map(|url| vec![url]);
        let named = match peer {
            Peer::Queue => several(&self.queue),
            Peer::State => several(&self.state),
            Peer::ToolProxy => one(&self.tool_proxy),
            Peer::LlmProxy => one(&self.llm_proxy),
            Peer::Agent => one(&self.agent),
            Peer::Simulator => one(&self.simulator),
            Peer::Gateway => None,
        };
        named.unwrap_or_else(|| vec![Mesh::default().url(peer).to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    fn found(words: &[&str]) -> Places {
        let cli = Cli::try_parse_from([&["holdfast", "top"], words].concat()).expect("it is well-formed");
        let Command::Top(top) = cli.command else { panic!("it is top") };
        find(&cli.global, &top, &["http://g:1".into()]).expect("it holds")
    }

    #[test]
    fn every_process_that_the_configuration_names_is_asked_without_reading_the_meshs_secrets() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "[mesh]\nqueue = [\"http://a:1\", \"http://b:1\"]\ncredential = \"env:HOLDFAST_TEST_NOT_SET\"\n";
        std::fs::write(file.path(), text).expect("it is written");
        let places = found(&["--config", file.path().to_str().expect("UTF-8")]);
        let told: Vec<_> = places.services.iter().map(|service| (service.name, service.address.as_str())).collect();
        assert_eq!(told[..3], [("gateway", "http://g:1"), ("queue", "http://a:1"), ("queue", "http://b:1")]);
        assert_eq!((told.len(), told[6].0, places.only_gateway), (7, "agent", false));
    }

    #[test]
    fn an_address_alone_is_the_gateways_and_ports_are_those_of_up() {
        let alone = found(&["--address", "http://g:1"]);
        assert_eq!((alone.services.len(), alone.only_gateway), (1, true));
        let ports = found(&["--port-base", "9000"]);
        assert_eq!(ports.services[1].address, "http://127.0.0.1:9001");
        assert_eq!(ports.services.last().map(|service| service.address.as_str()), Some("http://127.0.0.1:9006"));
    }
}
