//! A tool that reads requests, never answers, and notices when whoever asked is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Hanging {
    address: SocketAddr,
    arrived: Arc<watch::Sender<usize>>,
    gone: Arc<watch::Sender<usize>>,
}

impl Hanging {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (arrived, gone) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        let hanging = Self { address, arrived: arrived.clone(), gone: gone.clone() };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (arrived, gone) = (arrived.clone(), gone.clone());
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    if socket.read(&mut piece).await.is_ok_and(|read| read > 0) {
                        arrived.send_modify(|count| *count += 1);
                    }
                    while socket.read(&mut piece).await.is_ok_and(|read| read > 0) {}
                    gone.send_modify(|count| *count += 1);
                });
            }
        });
        hanging
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hang", self.address)
    }

    /// Returns when so many requests have come.
    pub(super) async fn arrived(&self, count: usize) {
        counted(&self.arrived, count).await;
    }

    /// Returns when so many connections have ended.
    pub(super) async fn gone(&self, count: usize) {
        counted(&self.gone, count).await;
    }
}

/// Long before the time of the tool itself is over, which would end its connection too.
async fn counted(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    let counting = counter.wait_for(|seen| *seen >= count);
    timeout(WITHIN, counting).await.expect("it does not come to that").expect("it lives");
}
