//! SIGTERM: a service ends by itself and in good order, and no acknowledged work is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_config::Peer;
use holdfast_proto::queue::v1::InvocationState;
use holdfast_sdk::{Client, Failure, Worker, invocation};
use holdfast_testkit::{Mesh, Signal};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_work_survives_the_drain_of_each_service() {
    let services = [Peer::Gateway, Peer::Queue, Peer::State];
    let config = "[gateway]\nextra_agents = [\"work\"]\n";
    let mut mesh = Mesh::builder().only(&services).config(config).start().await;
    let url = mesh.url(Peer::Gateway);

    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::new(url.as_str()).agent("work", |_, input| async move { Ok::<_, Failure>(input) });
    let working = tokio::spawn(worker.run(async { stopped.await.unwrap_or(()) }));
    let enough = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (client, enough) = (Client::connect(&url, "").unwrap(), Arc::clone(&enough));
        callers.spawn(async move {
            let mut done = 0;
            while !enough.load(Ordering::Relaxed) {
                let spec = invocation("work", &json!([caller, done])).unwrap();
                let ended = client.run(spec).await.expect("a drain is waited out");
                assert_eq!(ended.state(), InvocationState::Succeeded);
                assert_eq!(ended.result.unwrap().data, json!([caller, done]).to_string());
                done += 1;
            }
            done
        });
    }
    for peer in [Peer::Queue, Peer::Gateway, Peer::State, Peer::Queue] {
        mesh.signal(peer, Signal::Terminate).await;
        let ended = mesh.process(peer).wait().await;
        assert!(ended.success(), "{} should drain in good order: {ended}", peer.name());
        mesh.restart(peer).await;
    }
    enough.store(true, Ordering::Relaxed);
    let done = callers.join_all().await;
    assert!(done.iter().all(|done| *done > 0), "everybody got something done: {done:?}");
    stop.send(()).unwrap();
    working.await.unwrap().expect("a worker that is asked to end does so");
}
