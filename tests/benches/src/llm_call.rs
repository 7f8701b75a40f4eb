//! What the llm-proxy adds to a (simulated) model that answers at once: with limits of every kind, the line, accounts, a
//! budget and tracing.

use holdfast_config::Peer;
use holdfast_proto::llm::v1::{GenerateRequest, Message, Role, llm_service_client::LlmServiceClient};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures,
    again::Again,
    echo::added,
    load::{Call, Load, channels, drive},
    mesh,
};

pub(crate) async fn bench() -> Figures {
    let collector = Again::start("serve-collector").await;
    let mesh = mesh::start_traced(&collector.url(), &[Peer::Simulator, Peer::State, Peer::LlmProxy]).await;
    let figures = added(|callers| direct(&mesh, callers), |callers| proxied(&mesh, callers)).await;
    mesh.end().await;
    figures
}

async fn direct(mesh: &Mesh, callers: usize) -> Load {
    let http = reqwest::Client::new();
    let url = format!("{}/v1/chat/completions", mesh.url(Peer::Simulator));
    drive((0..callers).map(|_| Direct { http: http.clone(), url: url.clone() }).collect()).await
}

struct Direct {
    http: reqwest::Client,
    url: String,
}

impl Call for Direct {
    async fn call(&mut self) {
        let body = serde_json::json!({"model": "instant", "messages": [{"role": "user", "content": "hello"}]});
        let request = self.http.post(&self.url).bearer_auth("bench-key-of-one-run").json(&body);
        let answer = request.send().await.expect("the provider answers");
        answer.error_for_status().expect("it answers well").bytes().await.expect("it answers whole");
    }
}

async fn proxied(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::LlmProxy), callers).await;
    drive(channels.into_iter().map(|channel| Proxied { client: LlmServiceClient::new(channel) }).collect()).await
}

struct Proxied {
    client: LlmServiceClient<Channel>,
}

impl Call for Proxied {
    async fn call(&mut self) {
        let message = Message { role: Role::User.into(), content: "hello".into(), ..Default::default() };
        let request = GenerateRequest { model: "instant".into(), messages: vec![message], ..Default::default() };
        self.client.generate(request).await.expect("the proxy answers");
    }
}
