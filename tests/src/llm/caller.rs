use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_config::Peer;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::llm::v1::stream_generate_response::Part;
use holdfast_proto::llm::v1::{
    GenerateRequest, GenerateResponse, Message, Role, StreamGenerateRequest, StreamGenerateResponse,
};
use holdfast_testkit::Mesh;
use serde_json::json;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

const CONNECTIONS: usize = 8;
/// As people write: about four bytes to a token.
const TEXT: &str = "The customer wrote that the parcel came late, that one of the two lamps in it was broken, and asked whether a new \
                    one can be sent before the end of next week; the order was paid in March and nothing else is open. ";

/// What is asked of a model.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The model by its name in the configuration.
    pub model: String,
    /// What the user says.
    pub prompt: String,
    /// The tokens that the provider counts for it; 0 leaves it to count.
    pub input_tokens: u32,
    /// The tokens that the model writes; 0 leaves it to what it says.
    pub output_tokens: u32,
    /// The most that it may; 0 says nothing about it.
    pub max_output_tokens: u32,
    /// What the call is known by at the provider.
    pub mark: String,
    /// How long the caller waits.
    pub deadline: Duration,
}

impl Ask {
    /// As it is sent.
    pub fn message(&self) -> GenerateRequest {
        let mut metadata = json!({"mark": self.mark});
        for (name, tokens) in [("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens)] {
            if tokens > 0 {
                metadata[name] = tokens.into();
            }
        }
        let said = Message { role: Role::User.into(), content: self.prompt.clone(), ..Default::default() };
        GenerateRequest {
            model: self.model.clone(),
            messages: vec![said],
            max_output_tokens: self.max_output_tokens,
            extra: json!({"metadata": metadata}).to_string().into_bytes().into(),
            ..Default::default()
        }
    }
}

/// A text of so many bytes.
pub fn prompt(bytes: usize) -> String {
    let mut text = TEXT.repeat(bytes / TEXT.len() + 1);
    text.truncate(bytes);
    text
}

/// What became of a call.
#[derive(Debug)]
pub struct Answered {
    /// What it is known by at the provider.
    pub mark: String,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was whole.
    pub ended: Instant,
    /// The answer; a fallback's does not count as one.
    pub outcome: Result<GenerateResponse, Status>,
}

impl Answered {
    /// Whether a model answered.
    pub fn is_real(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|answer| !answer.degraded)
    }
}

/// A stream, or why there is none.
pub type Opened = Result<Streaming<StreamGenerateResponse>, Status>;

/// Calls models over several connections, for one tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    channels: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
    key: Option<MetadataValue<Ascii>>,
}

impl Caller {
    /// Through a service: the gateway, or the llm-proxy itself.
    ///
    /// # Panics
    /// Where the service's address is none.
    pub fn at(mesh: &Mesh, peer: Peer) -> Self {
        let endpoint = Endpoint::from_shared(mesh.url(peer)).expect("a URL of our own");
        let channels = (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect();
        Self { channels, next: Arc::default(), key: None }
    }

    /// The same connections for a tenant with a key of its own.
    ///
    /// # Panics
    /// Where the key has other characters than a header's.
    #[must_use]
    pub fn with_key(&self, secret: &str) -> Self {
        let key = format!("Bearer {secret}").parse().expect("letters and digits");
        Self { key: Some(key), ..self.clone() }
    }

    /// One call, whole.
    pub fn call(&self, ask: &Ask) -> impl Future<Output = Answered> + Send + use<> {
        let (mut client, request) = (self.client(), self.request(ask, ask.message()));
        let mark = ask.mark.clone();
        async move {
            let sent = Instant::now();
            let outcome = client.generate(request).await.map(tonic::Response::into_inner);
            Answered { mark, sent, ended: Instant::now(), outcome }
        }
    }

    /// One call as a stream, read to its end.
    pub fn stream(&self, ask: &Ask) -> impl Future<Output = Answered> + Send + use<> {
        let opened = self.open(ask);
        let mark = ask.mark.clone();
        async move {
            let sent = Instant::now();
            let outcome = async { read(opened.await?).await };
            Answered { mark, sent, outcome: outcome.await, ended: Instant::now() }
        }
    }

    /// A stream, for who reads it otherwise.
    pub fn open(&self, ask: &Ask) -> impl Future<Output = Opened> + Send + use<> {
        let request = StreamGenerateRequest { request: Some(ask.message()) };
        let (mut client, request) = (self.client(), self.request(ask, request));
        async move { client.stream_generate(request).await.map(tonic::Response::into_inner) }
    }

    fn client(&self) -> LlmServiceClient<Channel> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        LlmServiceClient::new(self.channels[place].clone())
    }

    fn request<T>(&self, ask: &Ask, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(ask.deadline);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("authorization", key.clone());
        }
        request
    }
}

/// Reads a stream to its end, which is the whole answer.
async fn read(mut stream: Streaming<StreamGenerateResponse>) -> Result<GenerateResponse, Status> {
    let mut end = None;
    while let Some(message) = stream.message().await? {
        if let Some(Part::End(whole)) = message.part {
            end = Some(whole);
        }
    }
    end.ok_or_else(|| Status::data_loss("the stream ended without its end"))
}

/// The settings of a key at the gateway for a tenant that calls models, the variable that holds it, and what it is.
pub fn key_of(tenant: &str) -> (String, String, String) {
    let variable = format!("PROOF_KEY_OF_{}", tenant.to_uppercase());
    let settings = format!(
        "[[gateway.keys]]\nname = {tenant:?}\nkey = \"env:{variable}\"\ntenant = {tenant:?}\nrole = \"worker\"\n"
    );
    (settings, variable, format!("the-key-of-{tenant}-in-this-proof"))
}
