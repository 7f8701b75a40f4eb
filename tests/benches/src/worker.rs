//! A worker that completes at once, on one `Work` stream, and answers with the moment at which it began.

use holdfast_proto::queue::v1::{
    CompleteRequest, Payload, WorkRequest, queue_service_client::QueueServiceClient, work_request, work_response,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::start;

/// Leases under way at most.
const CREDITS: u32 = 1_024;

/// Works until it is killed.
pub(crate) async fn work(url: String) {
    let mut client = QueueServiceClient::connect(url).await.expect("the queue listens");
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let say = |message| sender.send(WorkRequest { message: Some(message) }).expect("the stream is open");
    say(work_request::Message::Hello(work_request::Hello {
        worker: "bench".into(),
        agents: vec!["noop".into()],
        held_tokens: vec![],
        credits: CREDITS,
    }));
    let stream = client.work(UnboundedReceiverStream::new(receiver)).await.expect("the stream opens");
    let mut stream = stream.into_inner();
    while let Ok(Some(response)) = stream.message().await {
        let Some(work_response::Message::Leases(leases)) = response.message else { continue };
        let credits = leases.leases.len() as u32;
        for lease in leases.leases {
            let result = Payload { data: start::now().to_string().into(), content_type: String::new() };
            say(work_request::Message::Complete(CompleteRequest {
                token: lease.token,
                result: Some(result),
                usage: None,
            }));
        }
        say(work_request::Message::Credits(work_request::Credits { credits }));
    }
}
