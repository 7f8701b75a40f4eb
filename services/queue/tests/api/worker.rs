//! A worker on a stream.

use std::collections::VecDeque;

use holdfast_proto::queue::v1 as pb;
use pb::work_request::{Credits, Hello, Message as Up};
use pb::work_response::{Message as Down, Revoked, Settled, Welcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::harness::{Client, PATIENCE, as_tenant, payload};

pub(crate) struct Worker {
    up: mpsc::UnboundedSender<pb::WorkRequest>,
    down: Streaming<pb::WorkResponse>,
    leases: VecDeque<pb::Lease>,
    pub(crate) welcome: Welcome,
}

impl Worker {
    pub(crate) async fn open(client: Client, credits: u32) -> Self {
        Self::open_with(client, Hello { credits, ..hello() }).await
    }

    pub(crate) async fn open_with(client: Client, hello: Hello) -> Self {
        Self::open_as(client, hello, None).await
    }

    pub(crate) async fn open_as(mut client: Client, hello: Hello, tenant: Option<&str>) -> Self {
        let (up, requests) = mpsc::unbounded_channel();
        up.send(pb::WorkRequest { message: Some(Up::Hello(hello)) }).unwrap();
        let requests = UnboundedReceiverStream::new(requests);
        let request = match tenant {
            Some(tenant) => as_tenant(requests, tenant),
            None => tonic::Request::new(requests),
        };
        let down = client.work(request).await.unwrap().into_inner();
        let mut worker = Self { up, down, leases: VecDeque::new(), welcome: Welcome::default() };
        let Down::Welcome(welcome) = worker.next().await else { panic!("a stream begins with a welcome") };
        worker.welcome = welcome;
        worker
    }

    pub(crate) fn send(&self, message: Up) {
        self.up.send(pb::WorkRequest { message: Some(message) }).unwrap();
    }

    pub(crate) fn credit(&self, credits: u32) {
        self.send(Up::Credits(Credits { credits }));
    }

    pub(crate) fn heartbeat(&self, lease: &pb::Lease) {
        self.send(Up::Heartbeat(pb::HeartbeatRequest { tokens: vec![lease.token.clone()] }));
    }

    pub(crate) fn complete(&self, lease: &pb::Lease, result: &str) {
        let token = lease.token.clone();
        self.send(Up::Complete(pb::CompleteRequest { token, result: Some(payload(result)), usage: None }));
    }

    /// What the queue says next; the end of the stream, too.
    pub(crate) async fn hear(&mut self) -> Result<Option<Down>, Status> {
        let heard = tokio::time::timeout(PATIENCE, self.down.message()).await.expect("the queue says something");
        Ok(heard?.map(|response| response.message.unwrap()))
    }

    pub(crate) async fn next(&mut self) -> Down {
        self.hear().await.unwrap().expect("the stream goes on")
    }

    pub(crate) async fn lease(&mut self) -> pb::Lease {
        loop {
            if let Some(lease) = self.leases.pop_front() {
                return lease;
            }
            match self.next().await {
                Down::Leases(leases) => self.leases.extend(leases.leases),
                other => panic!("a lease was expected, not {other:?}"),
            }
        }
    }

    pub(crate) async fn settled(&mut self) -> Settled {
        loop {
            match self.next().await {
                Down::Settled(settled) => return settled,
                Down::Leases(leases) => self.leases.extend(leases.leases),
                other => panic!("an answer was expected, not {other:?}"),
            }
        }
    }

    pub(crate) async fn revoked(&mut self) -> Revoked {
        match self.next().await {
            Down::Revoked(revoked) => revoked,
            other => panic!("a revocation was expected, not {other:?}"),
        }
    }
}

pub(crate) fn hello() -> Hello {
    Hello { worker: "w-1".into(), agents: vec!["mail".into()], ..Default::default() }
}
