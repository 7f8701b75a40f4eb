//! A gateway whose answers never end, for what commands do on the way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use holdfast_proto::gateway::v1 as pb;
use holdfast_proto::queue::v1::invocation_event::{Event, Progress};
use holdfast_proto::queue::v1::{Invocation, InvocationEvent};
use pb::invocation_service_server::{InvocationService, InvocationServiceServer};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic::{Request, Response, Status};

/// Starts one on a free port, and gives its address.
pub async fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let server = Server::builder().add_service(InvocationServiceServer::new(Endless::default()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

#[derive(Default)]
struct Endless {
    /// Submissions for the crowded agent.
    crowded: AtomicUsize,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl InvocationService for Endless {
    type WatchInvocationStream = BoxStream<'static, Result<pb::WatchInvocationResponse, Status>>;

    /// Progress without an end.
    async fn watch_invocation(
        &self,
        request: Request<pb::WatchInvocationRequest>,
    ) -> Answer<Self::WatchInvocationStream> {
        let offsets = stream::iter(request.into_inner().from_offset..);
        let events = offsets.map(|offset| {
            let event = Some(Event::Progress(Progress { message: "goes on".into(), ..Default::default() }));
            Ok(pb::WatchInvocationResponse { event: Some(InvocationEvent { offset, event, ..Default::default() }) })
        });
        Ok(Response::new(events.boxed()))
    }

    /// Each page is followed by another.
    async fn list_invocations(&self, _: Request<pb::ListInvocationsRequest>) -> Answer<pb::ListInvocationsResponse> {
        let invocations = vec![Invocation { id: "i-1".into(), ..Default::default() }; 100];
        Ok(Response::new(pb::ListInvocationsResponse { invocations, next_page_token: "more".into() }))
    }

    /// One is redriven, and the next page is refused.
    async fn redrive_invocations(
        &self,
        request: Request<pb::RedriveInvocationsRequest>,
    ) -> Answer<pb::RedriveInvocationsResponse> {
        if !request.into_inner().page_token.is_empty() {
            return Err(holdfast_rpc::Error::permission_denied("the key was taken back").into());
        }
        let (invocation_ids, next_page_token) = (vec!["i-1".into()], "more".into());
        Ok(Response::new(pb::RedriveInvocationsResponse { invocation_ids, next_page_token, ..Default::default() }))
    }

    /// There is no room for one agent just now, and for another one for long.
    async fn submit_invocation(
        &self,
        request: Request<pb::SubmitInvocationRequest>,
    ) -> Answer<pb::SubmitInvocationResponse> {
        let full = |wait| Err(holdfast_rpc::Error::exhausted("the queue is full", wait).into());
        match request.into_inner().spec.unwrap_or_default().agent.as_str() {
            "crowded" if self.crowded.fetch_add(1, Ordering::SeqCst) < 2 => return full(Duration::from_millis(100)),
            "full" => return full(Duration::from_secs(3_600)),
            _ => {}
        }
        Ok(Response::new(pb::SubmitInvocationResponse { invocation_id: "i-1".into(), created: true }))
    }

    /// The wait breaks, and cannot go on for long.
    async fn run_invocation(&self, _: Request<pb::RunInvocationRequest>) -> Answer<pb::RunInvocationResponse> {
        Err(holdfast_rpc::Error::unavailable("the gateway drains", Duration::from_secs(3_600)).into())
    }

    async fn get_invocation(&self, _: Request<pb::GetInvocationRequest>) -> Answer<pb::GetInvocationResponse> {
        Err(Status::unimplemented("not part of the stand-in"))
    }

    async fn cancel_invocation(&self, _: Request<pb::CancelInvocationRequest>) -> Answer<pb::CancelInvocationResponse> {
        Err(Status::unimplemented("not part of the stand-in"))
    }
}
