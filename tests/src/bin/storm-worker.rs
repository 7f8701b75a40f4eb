//! A worker for the storm: `storm-worker URL NAME RECORDS`. It works for as long as its input says, and notes in a file of
//! its own what it begins and what becomes of it, so that somebody else can count, however it ends.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_sdk::{Context, Failure, Json, Worker};
use holdfast_tests::kill_storm::{AGENT, Note, What};

/// Where this worker writes, and how many executions it has begun.
struct Records {
    file: File,
    begun: AtomicU64,
}

impl Records {
    fn note(&self, execution: u64, what: What, invocation: &str) {
        let line = Note::now(execution, what, invocation).line();
        // One write for each line: a kill leaves whole lines, and at most half a last one.
        (&self.file).write_all(line.as_bytes()).expect("the records can be written");
    }
}

/// An execution: when it is dropped before its end, its lease was gone.
struct Execution {
    records: Arc<Records>,
    number: u64,
    invocation: String,
    end: What,
}

impl Execution {
    fn begin(records: &Arc<Records>, invocation: &str) -> Self {
        let number = records.begun.fetch_add(1, Ordering::Relaxed);
        records.note(number, What::Begun, invocation);
        Self { records: Arc::clone(records), number, invocation: invocation.to_owned(), end: What::Dropped }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.records.note(self.number, self.end, &self.invocation);
    }
}

#[tokio::main]
async fn main() {
    let [address, name, file] = arguments();
    let file = File::options().create(true).append(true).open(file).expect("the records' folder is there");
    let records = Arc::new(Records { file, begun: AtomicU64::new(0) });
    let work = move |context: Context, input: Json| {
        let records = Arc::clone(&records);
        async move {
            let mut execution = Execution::begin(&records, context.id());
            let work_ms =
                input["work_ms"].as_u64().ok_or_else(|| Failure::fatal("BAD_INPUT", "there is no work_ms"))?;
            tokio::time::sleep(Duration::from_millis(work_ms)).await;
            execution.end = What::Done;
            Ok(Json::Null)
        }
    };
    let worker = Worker::new(address).name(name).agent(AGENT, work);
    worker.run(std::future::pending()).await.expect("the mesh takes this worker");
}

fn arguments() -> [String; 3] {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().expect("storm-worker URL NAME RECORDS")
}
