//! From acknowledged to started: the caller notes when it is told that its invocation is durable, the worker answers with
//! the moment at which it has the lease. Both read the same machine's clock.

use std::time::{Duration, SystemTime};

use holdfast_config::Peer;
use holdfast_proto::{
    gateway::v1::{GetInvocationRequest, SubmitInvocationRequest, invocation_service_client::InvocationServiceClient},
    queue::v1::{Invocation, InvocationState},
};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    lifecycle::spec,
    load::{Call, Load, channels, drive},
    mesh,
};

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    since.as_micros() as u64
}

/// Submits, and asks until it has ended; only the time between acknowledgement and start counts.
pub(crate) async fn load(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::Gateway), callers).await.into_iter();
    let callers = channels.map(|channel| Caller {
        client: InvocationServiceClient::new(channel),
        acknowledged: Duration::ZERO,
        started: Duration::ZERO,
    });
    drive(callers.collect()).await
}

struct Caller {
    client: InvocationServiceClient<Channel>,
    acknowledged: Duration,
    started: Duration,
}

impl Call for Caller {
    async fn call(&mut self) {
        let submission = mesh::authorized(SubmitInvocationRequest { spec: Some(spec()) });
        let id =
            self.client.submit_invocation(submission).await.expect("the gateway answers").into_inner().invocation_id;
        self.acknowledged = Duration::from_micros(now());
        let ended = loop {
            let ask = mesh::authorized(GetInvocationRequest { invocation_id: id.clone() });
            let found = self.client.get_invocation(ask).await.expect("the gateway answers").into_inner();
            let found = found.invocation.expect("an answer has its invocation");
            if found.state() == InvocationState::Succeeded {
                break found;
            }
        };
        self.started = started(&ended);
    }

    /// A worker may well have it before its caller has been told.
    fn span(&self, _whole: Duration) -> Duration {
        self.started.saturating_sub(self.acknowledged)
    }
}

/// What the bench's worker answers.
fn started(ended: &Invocation) -> Duration {
    let result = ended.result.as_ref().expect("a success has a result");
    Duration::from_micros(serde_json::from_slice(&result.data).expect("the worker answers with its clock"))
}
