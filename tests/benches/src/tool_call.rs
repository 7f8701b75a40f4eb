//! What the tool-proxy adds to a read-only tool that answers at once.

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
    added(|callers| direct(&mesh, callers), |callers| proxied(&mesh, callers)).await
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

async fn proxied(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::ToolProxy), callers).await;
    drive(channels.into_iter().map(|channel| Proxied { client: ToolServiceClient::new(channel) }).collect()).await
}

struct Proxied {
    client: ToolServiceClient<Channel>,
}

impl Call for Proxied {
    async fn call(&mut self) {
        let request = CallToolRequest { tool: "instant".into(), arguments: r#"{"x":1}"#.into(), ..Default::default() };
        let answer = self.client.call_tool(request).await.expect("the proxy answers").into_inner();
        assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
    }
}
