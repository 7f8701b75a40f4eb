use std::net::SocketAddr;

use holdfast_config::Peer;

use super::{Mesh, MeshBuilder};
use crate::Process;
use crate::http::get;
use crate::server::ready;

impl MeshBuilder {
    /// So many processes of the queue; the gateway and the agents know all of them. More than one need a database that they
    /// share (`[database] url`).
    pub fn queues(self, count: u16) -> Self {
        self.several(Peer::Queue, count)
    }

    /// So many processes of the state service. More than one need a database that they share.
    pub fn states(self, count: u16) -> Self {
        self.several(Peer::State, count)
    }

    /// So many processes of the tool-proxy. The other services know the first alone; the rest are called by their
    /// addresses.
    pub fn tool_proxies(self, count: u16) -> Self {
        self.several(Peer::ToolProxy, count)
    }

    /// So many processes of the llm-proxy, each with data of its own. More than one share limits through a Redis
    /// (`[redis] url`); the other services know the first alone.
    pub fn llm_proxies(self, count: u16) -> Self {
        self.several(Peer::LlmProxy, count)
    }

    fn several(mut self, peer: Peer, count: u16) -> Self {
        self.more.insert(peer.name(), count.saturating_sub(1));
        self
    }
}

/// The processes of one service are counted from 0; the first is the [`Peer`], to which all that is said of a peer applies.
impl Mesh {
    /// How many queue processes there are.
    pub fn queues(&self) -> u16 {
        self.several(Peer::Queue)
    }

    /// How many processes of a service there are.
    pub fn several(&self, peer: Peer) -> u16 {
        self.more.get(peer.name()).copied().unwrap_or(0) + 1
    }

    /// The base URLs of all processes of a service, whether they run or not.
    pub fn urls(&self, peer: Peer) -> Vec<String> {
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        (0..self.several(peer)).map(|number| format!("{scheme}://{}", self.address_of(peer, number))).collect()
    }

    /// One process of a service.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn process_of(&mut self, peer: Peer, number: u16) -> &mut Process {
        if number == 0 {
            return self.process(peer);
        }
        let wanted = (peer.name(), number);
        self.further.get_mut(&wanted).unwrap_or_else(|| panic!("there is no {} {number}", peer.name()))
    }

    /// Kills a queue process with SIGKILL.
    pub async fn kill_queue(&mut self, number: u16) {
        self.process_of(Peer::Queue, number).kill().await;
    }

    /// Starts a queue process again.
    pub async fn restart_queue(&mut self, number: u16) {
        self.restart_of(Peer::Queue, number).await;
    }

    /// Starts a process again that was killed or asked to end, and waits until it is healthy.
    pub async fn restart_of(&mut self, peer: Peer, number: u16) {
        if number == 0 {
            return self.restart(peer).await;
        }
        let name = format!("{}-{number}", peer.name());
        let (address, mut command) = (self.address_of(peer, number), self.service(peer));
        command.env(format!("HOLDFAST_{}__ADDRESS", peer.section().to_uppercase()), address.to_string());
        if peer == Peer::LlmProxy {
            // It is alone with its files.
            command.env("HOLDFAST_DATA__DIR", self.directory().join(format!("data-{name}")));
        }
        let mut process = Process::start(&name, command, self.directory());
        ready(&name, &mut process, || async { get(address.port(), "/healthz").await.is_some() }).await;
        self.further.insert((peer.name(), number), process);
    }

    pub(super) async fn start_further(&mut self) {
        for peer in Peer::ALL {
            for number in 1..self.several(peer) {
                self.restart_of(peer, number).await;
            }
        }
    }

    /// The further ones stand behind all peers, those of one service together.
    fn address_of(&self, peer: Peer, number: u16) -> SocketAddr {
        let mut address = self.address(peer);
        if number > 0 {
            let before: u16 = self.more.range(..peer.name()).map(|(_, more)| more).sum();
            address.set_port(self.port_base + Peer::ALL.len() as u16 + before + number - 1);
        }
        address
    }
}
