//! Workers that do not read what they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::status;
use pb::work_request::Message as Up;
use pb::work_response::Message as Down;
use tonic::Code;

use crate::harness::{Harness, PATIENCE};
use crate::worker::hello;

/// Requests, and answers, far beyond what HTTP/2 itself keeps on the way.
const REQUESTS: usize = 512;
const TOKEN_BYTES: usize = 64 << 10;

#[tokio::test]
async fn a_worker_that_never_reads_is_not_read_either() {
    let queue = Harness::with("payload_max = \"64KiB\"\nresult_max = \"64KiB\"\nunread_bytes_max = \"64KiB\"").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let (all, all_sent) = tokio::sync::oneshot::channel();
    let requests = {
        let (sent, mut all) = (Arc::clone(&sent), Some(all));
        let ask = move |n| {
            if sent.fetch_add(1, Ordering::SeqCst) + 1 == REQUESTS {
                let _ = all.take().expect("once").send(());
            }
            let token = "x".repeat(TOKEN_BYTES);
            match n % 2 {
                0 => Up::Release(pb::ReleaseRequest { token }),
                _ => Up::Heartbeat(pb::HeartbeatRequest { tokens: vec![token] }),
            }
        };
        stream::once(async { Up::Hello(hello()) })
            .chain(stream::iter(0..REQUESTS).map(ask))
            .map(|message| pb::WorkRequest { message: Some(message) })
            .chain(stream::pending())
    };
    let mut answers = queue.client().work(requests).await.unwrap().into_inner();
    assert!(tokio::time::timeout(Duration::from_secs(2), all_sent).await.is_err(), "all of it was taken");
    let stopped_at = sent.load(Ordering::SeqCst);
    assert!(stopped_at < REQUESTS / 2, "{stopped_at} were taken");

    // Once it reads, everything is answered.
    let mut answered = 0;
    while answered < REQUESTS {
        let message = tokio::time::timeout(PATIENCE, answers.message()).await.expect("it goes on").unwrap();
        match message.expect("the stream goes on").message.unwrap() {
            Down::Settled(_) | Down::Heartbeat(_) => answered += 1,
            Down::Welcome(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_heartbeat_names_no_more_leases_than_a_worker_can_have() {
    let queue = Harness::with("credits_max = 2").await;
    let beat = pb::HeartbeatRequest { tokens: vec!["x".into(); 3] };
    let refused = queue.client().heartbeat(beat.clone()).await.unwrap_err();
    assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some("tokens")));
    let mut worker = crate::worker::Worker::open(queue.client(), 1).await;
    worker.send(Up::Heartbeat(beat));
    let refused = worker.hear().await.unwrap_err();
    assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some("tokens")));
}
