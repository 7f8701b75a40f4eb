//! The mission's shared records: invocations that each read one of a few accounts, think, and write what they made of it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use holdfast_config::Peer;
use holdfast_sdk::{Client, Context, Error, Json, Worker, invocation, state};
use holdfast_testkit::Mesh;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

/// The agent type of all the work.
const AGENT: &str = "clerk";
/// Accounts that all share.
pub const ACCOUNTS: u64 = 50;
/// Invocations that one worker has at once.
const AT_ONCE: u32 = 64;
/// How long an agent thinks between reading and writing, at most.
const THINKS_MS: u64 = 10;

/// What was asked, and what became of the accounts.
#[derive(Debug, Default)]
pub struct Report {
    /// Invocations that succeeded.
    pub succeeded: u64,
    /// What all accounts hold together: one for each update that is not lost.
    pub counted: u64,
    /// Writes that were accepted.
    pub writes: u64,
}

/// How an agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// On condition of what it read; anew where that has moved on.
    Conditional,
    /// Over whatever is there.
    Blind,
}

/// Runs so many invocations to their end, and adds the accounts up.
///
/// # Panics
/// Where an invocation does not succeed.
pub async fn run(invocations: u64, manner: Manner) -> Report {
    let config = format!(
        "[gateway]\nextra_agents = [{AGENT:?}]\n[queue]\nagent_depth_max = 100000\ntenant_depth_max = 100000\n"
    );
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(config).start().await;
    let gateway = mesh.url(Peer::Gateway);
    let done = Arc::new(Notify::new());
    let worker = Worker::new(gateway.as_str()).concurrency(AT_ONCE).agent(
        AGENT,
        move |context: Context, input: Json| async move {
            let account = account(input.as_u64().expect("an account's number"));
            Ok(post(&context.state(), &account, manner).await?)
        },
    );
    let stop = Arc::clone(&done);
    let worker = tokio::spawn(async move { worker.run(async move { stop.notified().await }).await });

    let client = Client::connect(&gateway, "").expect("the mesh's URL is one");
    let succeeded = futures::stream::iter(0..invocations)
        .map(|number| {
            let client = client.clone();
            async move {
                let spec = invocation(AGENT, &json!(number % ACCOUNTS)).expect("a number is JSON");
                client.run(spec).await.expect("every invocation succeeds")
            }
        })
        .buffer_unordered(2 * AT_ONCE as usize)
        .count()
        .await;
    let mut report = Report { succeeded: succeeded as u64, ..Report::default() };
    for number in 0..ACCOUNTS {
        let record = client.state().get(&account(number)).await.expect("state answers").expect("it was written");
        report.counted += record.json::<u64>().expect("it is a number");
        report.writes += record.revision;
    }
    done.notify_one();
    worker.await.expect("the worker does not panic").expect("the worker ends well");
    report
}

fn account(number: u64) -> state::Address {
    state::Address::new("accounts", format!("a{number}"), "balance")
}

async fn post(state: &state::State, account: &state::Address, manner: Manner) -> Result<Value, Error> {
    loop {
        let read = state.get(account).await?;
        let before: u64 = read.as_ref().map(state::Record::json).transpose()?.unwrap_or(0);
        think().await;
        let must = match (&read, manner) {
            (_, Manner::Blind) => state::Precondition::Overwrite,
            (Some(record), Manner::Conditional) => state::Precondition::Version(record.version.clone()),
            (None, Manner::Conditional) => state::Precondition::Absent,
        };
        match state.put(account, state::Value::json(&(before + 1))?, must).await {
            Err(Error::Conflict(_)) => {}
            written => return Ok(json!(written?.revision)),
        }
    }
}

/// What an agent does between reading and writing takes time: this is the time.
async fn think() {
    let time = Duration::from_millis(rand::rng().random_range(0..THINKS_MS));
    sleep(time).await;
}
