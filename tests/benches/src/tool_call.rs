//! What the tool-proxy adds to a tool that answers at once: to a read-only one, and to one with an effect, whose intent is
//! recorded before each call and whose result after it.

use holdfast_config::Peer;
use holdfast_proto::tool::v1::{CallToolRequest, Outcome, tool_service_client::ToolServiceClient};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures,
    echo::added,
    load::{Call, Load, channels, drive},
    mesh,
};

pub(crate) async fn bench() -> Figures {
    let mesh = mesh::start(&[Peer::Simulator, Peer::State, Peer::ToolProxy]).await;
    let mut figures = added(|callers| direct(&mesh, callers), |callers| proxied(&mesh, callers, Kind::ReadOnly)).await;
    let effectful = added(|callers| direct(&mesh, callers), |callers| proxied(&mesh, callers, Kind::Effectful)).await;
    figures.extend(
        effectful.into_iter().map(|(name, figure)| (format!("effectful_{}", name.replace("direct_", "")), figure)),
    );
    mesh.end().await;
    figures
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A call of its own, which leaves nothing behind.
    ReadOnly,
    /// A call under a new key, so that it is recorded.
    Effectful,
}

async fn direct(mesh: &Mesh, callers: usize) -> Load {
    let http = reqwest::Client::new();
    let url = format!("{}/tools/instant", mesh.url(Peer::Simulator));
    drive((0..callers).map(|_| Direct { http: http.clone(), url: url.clone() }).collect()).await
}

struct Direct {
    http: reqwest::Client,
    url: String,
}

impl Call for Direct {
    async fn call(&mut self) {
        let answer =
            self.http.post(&self.url).json(&serde_json::json!({"x": 1})).send().await.expect("the tool answers");
        answer.error_for_status().expect("it answers well").bytes().await.expect("it answers whole");
    }
}

async fn proxied(mesh: &Mesh, callers: usize, kind: Kind) -> Load {
    let channels = channels(&mesh.url(Peer::ToolProxy), callers).await;
    drive(channels.into_iter().map(|channel| Proxied { client: ToolServiceClient::new(channel), kind }).collect()).await
}

struct Proxied {
    client: ToolServiceClient<Channel>,
    kind: Kind,
}

impl Call for Proxied {
    async fn call(&mut self) {
        let arguments = r#"{"x":1}"#.into();
        let request = match self.kind {
            Kind::ReadOnly => CallToolRequest { tool: "instant".into(), arguments, ..Default::default() },
            Kind::Effectful => {
                let idempotency_key = uuid::Uuid::now_v7().to_string();
                CallToolRequest { tool: "once".into(), arguments, idempotency_key, ..Default::default() }
            }
        };
        let answer = self.client.call_tool(request).await.expect("the proxy answers").into_inner();
        assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
    }
}
