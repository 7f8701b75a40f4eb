use std::net::SocketAddr;

use holdfast_config::Peer;

use super::{Mesh, MeshBuilder};
use crate::Process;
use crate::http::get;
use crate::server::ready;

impl MeshBuilder {
    /// So many processes of the queue; the gateway and the agents know all of them. More than one need a database that they
    /// share (`[database] url`).
    pub const fn queues(mut self, count: u16) -> Self {
        self.more_queues = count.saturating_sub(1);
        self
    }
}

/// Queue processes are counted from 0; the first is [`Peer::Queue`], to which all that is said of a peer applies.
impl Mesh {
    /// How many queue processes there are.
    pub const fn queues(&self) -> u16 {
        self.more_queues + 1
    }

    /// The base URLs of all queue processes, whether they run or not.
    pub fn queue_urls(&self) -> Vec<String> {
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        (0..=self.more_queues).map(|number| format!("{scheme}://{}", self.queue_address(number))).collect()
    }

    /// The process of one of them.
    ///
    /// # Panics
    /// Where there is no such queue.
    pub fn queue_process(&mut self, number: u16) -> &mut Process {
        if number == 0 {
            return self.process(Peer::Queue);
        }
        self.queues.get_mut(&number).unwrap_or_else(|| panic!("there is no queue {number}"))
    }

    /// Kills one of them with SIGKILL.
    pub async fn kill_queue(&mut self, number: u16) {
        self.queue_process(number).kill().await;
    }

    /// Starts one of them again that was killed or asked to end, and waits until it is healthy.
    pub async fn restart_queue(&mut self, number: u16) {
        if number == 0 {
            return self.restart(Peer::Queue).await;
        }
        let name = format!("queue-{number}");
        let (address, mut command) = (self.queue_address(number), self.service(Peer::Queue));
        command.env("HOLDFAST_QUEUE__ADDRESS", address.to_string());
        let mut process = Process::start(&name, command, self.directory());
        ready(&name, &mut process, || async { get(address.port(), "/healthz").await.is_some() }).await;
        self.queues.insert(number, process);
    }

    pub(super) async fn start_more_queues(&mut self) {
        for number in 1..=self.more_queues {
            self.restart_queue(number).await;
        }
    }

    /// The further ones stand behind all peers.
    fn queue_address(&self, number: u16) -> SocketAddr {
        let mut address = self.address(Peer::Queue);
        if number > 0 {
            address.set_port(self.port_base + Peer::ALL.len() as u16 + number - 1);
        }
        address
    }
}
