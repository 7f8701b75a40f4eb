//! A real state service behind a way that can be cut.

use std::net::SocketAddr;

use holdfast_config::{Common, Document};
use holdfast_rpc::service::{Host, Settings as _, Stop};
use holdfast_sdk::{
    Client, Endpoints,
    state::{Address, State, Value},
};
use holdfast_testkit::{Fault, FaultProxy};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub struct Served {
    common: Common,
    config: &'static str,
    address: SocketAddr,
    running: Option<(JoinHandle<()>, Stop)>,
    way: FaultProxy,
    _data: TempDir,
}

impl Served {
    pub async fn start() -> Self {
        Self::with("").await
    }

    pub async fn with(config: &'static str) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut common = Common::default();
        common.data.dir = data.path().to_owned();
        let (address, running) = serve("127.0.0.1:0", &common, config).await;
        let way = FaultProxy::to(address).await;
        common.mesh.state = format!("http://{}", way.address()).into();
        Self { common, config, address, running: Some(running), way, _data: data }
    }

    pub fn state(&self) -> State {
        Client::over(&Endpoints::mesh(&self.common).expect("well-formed")).expect("well-formed").state()
    }

    /// The same past the way: what is done to that does not reach it.
    pub fn direct(&self) -> State {
        let mut common = self.common.clone();
        common.mesh.state = format!("http://{}", self.address).into();
        Client::over(&Endpoints::mesh(&common).expect("well-formed")).expect("well-formed").state()
    }

    /// As SIGTERM does it, and started again.
    pub async fn restart(&mut self) {
        let (task, stop) = self.running.take().expect("it runs");
        stop.cancel();
        task.await.expect("it drains");
        let (_, running) = serve(&self.address.to_string(), &self.common, self.config).await;
        self.running = Some(running);
    }

    /// Every connection breaks; the next ones hold.
    pub fn cut(&self) {
        self.way.cut();
    }

    /// The way has a fault from now on.
    pub fn set(&self, fault: Fault) {
        self.way.set(fault);
    }
}

async fn serve(address: &str, common: &Common, config: &'static str) -> (SocketAddr, (JoinHandle<()>, Stop)) {
    let host = Host::bind("state", address, common).await.expect("the port is ours");
    let (bound, stop) = (host.address(), host.stop());
    let document = Document::parse("t.toml", config, []).expect("it is TOML");
    let settings = holdfast_state::Config::from_document(&document).expect("it holds");
    let common = common.clone();
    let task = tokio::spawn(async move {
        holdfast_state::serve(common, settings, host).await.expect("it serves");
    });
    (bound, (task, stop))
}

pub fn address(key: &str) -> Address {
    Address::new("accounts", "C-1", key)
}

pub fn number(number: u64) -> Value {
    Value::json(&json!(number)).expect("plain JSON")
}
