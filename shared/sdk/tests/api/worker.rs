use std::time::Duration;

use holdfast_sdk::{Context, Error, Failure, Json, Output, Worker};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::standin::{Mesh, Submission, queue::End};

/// A worker at work.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub fn start(worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run(async {
            let _ = stopped.await;
        }));
        Self { stop: Some(stop), task }
    }

    /// Ends it as a crash does: nothing is handed back, and no handler runs on.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Asks it to shut down, and waits until it has.
    pub async fn shut_down(mut self) -> Result<(), Error> {
        drop(self.stop.take());
        self.task.await.expect("it does not panic")
    }

    pub fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn stopped(self) -> Result<(), Error> {
        self.task.await.expect("it does not panic")
    }
}

pub fn echo(mesh: &Mesh) -> Worker {
    Worker::new(mesh.url()).name("w-1").agent("echo", |_: Context, input: Json| async move { Ok(input) })
}

#[tokio::test]
async fn an_invocation_is_answered() {
    let mesh = Mesh::start().await;
    let _running = Running::start(echo(&mesh));
    let id = mesh.queue.submit(Submission { agent: "echo", input: r#"{"a":1}"#, ..Default::default() });
    let End::Completed(done) = mesh.queue.end(&id).await else { panic!("it succeeds") };
    let result = done.result.expect("a result");
    assert_eq!((&*result.data, &*result.content_type), (&br#"{"a":1}"#[..], "application/json"));
}

#[tokio::test]
async fn a_worker_says_who_it_is_and_takes_no_more_than_it_can() {
    let mesh = Mesh::start().await;
    let never = |_: Context, _: Json| std::future::pending::<Result<Json, Failure>>();
    let _running =
        Running::start(Worker::new(mesh.url()).name("w-1").concurrency(2).agent("a", never).agent("b", never));
    let ids: Vec<_> = (0..3).map(|_| mesh.queue.submit(Submission { agent: "a", ..Default::default() })).collect();
    mesh.queue.leased(&ids[0]).await;
    mesh.queue.leased(&ids[1]).await;
    let hello = mesh.queue.hellos().remove(0);
    assert_eq!((hello.worker.as_str(), hello.credits), ("w-1", 2));
    assert_eq!(hello.agents, ["a", "b"]);
    mesh.queue.revoke(&ids[0], "CANCELLED");
    mesh.queue.leased(&ids[2]).await;
}

#[tokio::test]
async fn failures_say_whether_another_attempt_may_help() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("fail", |_: Context, input: Json| async move {
        match input.as_str() {
            Some("fatal") => Err(Failure::fatal("NO", "never")),
            Some("panic") => panic!("at the disco"),
            Some("stranger") => Err(std::io::Error::other("printer on fire"))?,
            _ => Ok(Output::text("fine")),
        }
    });
    let _running = Running::start(worker);
    for (input, reason, retryable) in [
        (r#""fatal""#, "NO", false),
        (r#""panic""#, "PANIC", true),
        (r#""stranger""#, "HANDLER_ERROR", true),
        ("not JSON", "BAD_INPUT", false),
    ] {
        let id = mesh.queue.submit(Submission { agent: "fail", input, ..Default::default() });
        let End::Failed(fail) = mesh.queue.end(&id).await else { panic!("{input} fails") };
        let failure = fail.failure.expect("why");
        assert_eq!((failure.reason.as_str(), failure.retryable), (reason, retryable), "{input}");
    }
}

#[tokio::test]
async fn progress_and_chunks_arrive_in_order() {
    use holdfast_sdk::proto::queue::v1::report_progress_request::Event;
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("talk", |ctx: Context, _: Json| async move {
        ctx.progress("half", Some(0.5)).await;
        ctx.chunk("one ").await?;
        ctx.chunk("two").await?;
        Ok(Output::text("one two"))
    });
    let _running = Running::start(worker);
    let id = mesh.queue.submit(Submission { agent: "talk", ..Default::default() });
    mesh.queue.end(&id).await;
    match &mesh.queue.events()[..] {
        [Event::Progress(progress), Event::Chunk(one), Event::Chunk(two)] => {
            assert_eq!((progress.message.as_str(), progress.fraction), ("half", Some(0.5)));
            assert_eq!([one, two], ["one ", "two"]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handler_ends_at_the_invocations_deadline() {
    let mesh = Mesh::start().await;
    let worker = Worker::new(mesh.url()).agent("slow", |ctx: Context, _: Json| async move {
        assert!(ctx.deadline().is_some());
        std::future::pending::<Result<Json, Failure>>().await
    });
    let _running = Running::start(worker);
    let deadline = Some(Duration::from_millis(300));
    let id = mesh.queue.submit(Submission { agent: "slow", deadline, ..Default::default() });
    let End::Failed(fail) = mesh.queue.end(&id).await else { panic!("it runs for ever") };
    let failure = fail.failure.expect("why");
    assert_eq!((failure.reason.as_str(), failure.retryable), ("DEADLINE_PASSED", false));
}

#[tokio::test]
async fn a_worker_without_agents_or_address_is_told_so() {
    assert!(matches!(Worker::new("http://127.0.0.1:1").run(async {}).await, Err(Error::Invalid(_))));
    let nowhere = Worker::new("nowhere").agent("a", |_: Context, _: Json| async { Ok(json!(1)) });
    assert!(matches!(nowhere.run(async {}).await, Err(Error::Invalid(_))));
}
