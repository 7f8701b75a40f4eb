//! This executable, started again: a server of the bench's in a process of its own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

/// It ends when it is dropped.
pub(crate) struct Again {
    _process: Child,
    address: SocketAddr,
}

impl Again {
    /// Starts the command `name` with a free port behind it, and returns once it listens there.
    pub(crate) async fn start(name: &str) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        drop(socket);
        let this = std::env::current_exe().expect("this executable");
        let process = Command::new(this)
            .args([name, &address.port().to_string()])
            .kill_on_drop(true)
            .spawn()
            .expect("this executable starts again");
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { _process: process, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
