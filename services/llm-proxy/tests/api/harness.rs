//! An llm-proxy in this process, on ports of the system's choice.

use std::time::Duration;

use holdfast_config::{Common, Document};
use holdfast_llm_proxy::Config;
use holdfast_proto::llm::v1::{self as pb, llm_service_client::LlmServiceClient};
use holdfast_rpc::{
    Channel,
    service::{Host, ServeError, Settings as _, Stop},
};
use holdfast_simulator::{Limits, Running, Simulator};
use tokio::task::JoinHandle;
use tonic::Request;

pub type Client = LlmServiceClient<Channel>;

/// Within this long everything ends that these tests wait for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A provider and a proxy before it.
pub struct Harness {
    pub provider: Running,
    pub client: Client,
    pub stop: Stop,
    pub address: std::net::SocketAddr,
    pub directory: tempfile::TempDir,
    served: JoinHandle<Result<(), ServeError>>,
}

/// What a provider allows its one key, on both sides of the wire.
pub fn one_key(limits: &str) -> String {
    model(&format!("{{ name = \"simulated\", {limits} }}"), "")
}

/// A model on the simulated provider with these keys and further settings of the provider.
pub fn model(keys: &str, more: &str) -> String {
    format!(
        "[providers.sim]\nkind = \"openai\"\nbase_url = \"simulator:/v1\"\nkeys = [{keys}]\n{more}\n\
         [models.m]\ndeployments = [{{ provider = \"sim\", model = \"simulated-model\" }}]\n"
    )
}

/// The provider's limits of a key.
pub fn allowed(requests: Option<u32>, concurrency: Option<u32>, window_ms: u64) -> Limits {
    Limits {
        requests_per_minute: requests,
        concurrency,
        window: holdfast_config::Span::from_millis(window_ms),
        ..Limits::default()
    }
}

/// A provider that knows these keys.
pub async fn provider(keys: &[(&str, Limits)]) -> Running {
    let keys = keys.iter().map(|(name, limits)| ((*name).to_owned(), limits.clone())).collect();
    Simulator::start(&holdfast_simulator::Config { keys, ..Default::default() }).await.expect("a free port")
}

impl Harness {
    pub async fn start(toml: String, provider: Running) -> Self {
        Self::start_in(Common::default(), toml, provider).await
    }

    /// The same, beside other services.
    pub async fn start_in(mut common: Common, toml: String, provider: Running) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        common.data.dir = directory.path().to_owned();
        common.mesh.simulator = provider.url();
        let document = Document::parse("t.toml", &toml, []).expect("it is TOML");
        let config = Config::from_document(&document).expect("the settings hold");
        let host = Host::bind("llm-proxy", "127.0.0.1:0", &common).await.expect("a free port");
        let (stop, address) = (host.stop(), host.address());
        let client = connect(address);
        let served = tokio::spawn(holdfast_llm_proxy::serve(common, config, host));
        Self { provider, client, stop, address, directory, served }
    }

    /// Ends it in good order.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.served.await.expect("it ran").expect("it served");
    }

    /// With the default provider and nothing special.
    pub async fn plain() -> Self {
        Self::start(one_key("concurrency = 20"), provider(&[("simulated", allowed(None, Some(20), 60_000))]).await)
            .await
    }

    pub async fn say(&self, text: &str) -> Result<pb::GenerateResponse, tonic::Status> {
        self.ask(said(text)).await
    }

    pub async fn ask(&self, request: pb::GenerateRequest) -> Result<pb::GenerateResponse, tonic::Status> {
        Ok(self.client.clone().generate(request).await?.into_inner())
    }

    pub async fn say_within(&self, text: &str, time: Duration) -> Result<pb::GenerateResponse, tonic::Status> {
        say_within(&self.client, text, time).await
    }

    /// All parts of an answer, and how it ended.
    pub async fn stream(&self, text: &str) -> (Vec<pb::StreamGenerateResponse>, Option<tonic::Status>) {
        self.stream_within(text, Duration::from_secs(600)).await
    }

    /// The same, by a deadline.
    pub async fn stream_within(
        &self,
        text: &str,
        time: Duration,
    ) -> (Vec<pb::StreamGenerateResponse>, Option<tonic::Status>) {
        let mut request = Request::new(pb::StreamGenerateRequest { request: Some(said(text)) });
        request.set_timeout(time);
        let mut stream = match self.client.clone().stream_generate(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return (Vec::new(), Some(status)),
        };
        let mut parts = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => return (parts, None),
                Err(status) => return (parts, Some(status)),
            }
        }
    }
}

pub fn connect(address: std::net::SocketAddr) -> Client {
    let channel = Channel::connect("llm-proxy", &format!("http://{address}"), None, None).expect("a URL");
    LlmServiceClient::new(channel)
}

pub async fn say_within(client: &Client, text: &str, time: Duration) -> Result<pb::GenerateResponse, tonic::Status> {
    let mut request = Request::new(said(text));
    request.set_timeout(time);
    Ok(client.clone().generate(request).await?.into_inner())
}

/// One thing that the user says to the model `m`.
pub fn said(text: &str) -> pb::GenerateRequest {
    let message = pb::Message { role: pb::Role::User.into(), content: text.into(), ..Default::default() };
    pb::GenerateRequest { model: "m".into(), messages: vec![message], ..Default::default() }
}
