use std::process::Stdio;
use std::time::Duration;

use holdfast_sdk::Client;
use holdfast_sdk::state::LockRequest;
use holdfast_testkit::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::harness::{Ended, Place, Up};

/// What is to come comes within this time, or the test fails.
const SOON: Duration = Duration::from_secs(15);

const RECORD: [&str; 3] = ["accounts", "C-1", "balance"];

/// A mesh, and commands on its records.
struct Records {
    place: Place,
    up: Up,
}

impl Records {
    async fn start() -> Self {
        let place = Place::new();
        let mut up = place.up(&[]);
        up.event("all_ready", None).await;
        Self { place, up }
    }

    async fn run(&self, words: &[&[&str]]) -> Ended {
        let address = self.up.gateway();
        self.place.run(&[&["--json", "--address", &address, "state"], words.concat().as_slice()].concat()).await
    }

    /// The documents of a command that is done.
    async fn told(&self, words: &[&[&str]]) -> Vec<Value> {
        let ended = self.run(words).await;
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        ended.out.lines().map(|line| serde_json::from_str(line).expect("one document per line")).collect()
    }

    /// The error of a command that was refused.
    async fn refused(&self, words: &[&[&str]]) -> Value {
        let ended = self.run(words).await;
        assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{words:?}: {ended:?}");
        let document: Value = serde_json::from_str(&ended.err).expect("one document");
        document["error"].clone()
    }

    async fn end(self) {
        self.up.signal(Signal::Terminate).await;
        assert_eq!(self.up.end().await, 0);
    }
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = timeout(SOON, lines.next_line()).await.expect("in time").expect("readable").expect("not the end");
    serde_json::from_str(&line).expect("one document per line")
}

#[tokio::test]
async fn a_record_is_written_read_and_deleted_and_its_past_stays() {
    let records = Records::start().await;
    assert_eq!(records.refused(&[&["get"], &RECORD]).await["reason"], "NOT_FOUND");

    let made = records.told(&[&["put"], &RECORD, &[r#"{"cents":5}"#]]).await.remove(0);
    assert_eq!(made["revision"], 1);
    let first = made["version"].as_str().expect("a version").to_owned();
    let twice = records.refused(&[&["put"], &RECORD, &[r#"{"cents":6}"#]]).await;
    assert_eq!((&twice["reason"], &twice["current"]["value"]), (&json!("CONFLICT"), &json!({"cents": 5})));

    let written = records.told(&[&["put"], &RECORD, &[r#"{"cents":6}"#, "--version", &first, "--ttl", "1h"]]).await;
    assert_eq!(written[0]["revision"], 2);
    let late = records.refused(&[&["put"], &RECORD, &[r#"{"cents":7}"#, "--version", &first]]).await;
    assert_eq!(late["current"]["version"], written[0]["version"], "it says what to follow from");
    let read = records.told(&[&["get"], &RECORD]).await.remove(0);
    assert_eq!((&read["value"], &read["version"]), (&json!({"cents": 6}), &written[0]["version"]));
    assert!(read["expires_at"].is_string(), "{read}");
    let read = records.told(&[&["get"], &RECORD, &["--at-version", &first]]).await.remove(0);
    assert_eq!(read["value"], json!({"cents": 5}));
    records.told(&[&["put"], &RECORD, &["7", "--overwrite", "--cached"]]).await;
    let read = records.told(&[&["get"], &RECORD, &["--max-staleness", "1m"]]).await.remove(0);
    assert_eq!(read["value"], 7);

    records.told(&[&["put", "accounts", "C-1", "note", "plain text", "--content-type", "text/plain"]]).await;
    let keys = |documents: Vec<Value>| documents.iter().map(|document| document["key"].clone()).collect::<Vec<_>>();
    let list = ["list", "accounts", "C-1"];
    assert_eq!(keys(records.told(&[&list]).await), ["balance", "note"]);
    assert_eq!(keys(records.told(&[&list, &["--prefix", "n"]]).await), ["note"]);
    assert_eq!(keys(records.told(&[&list, &["--limit", "1"]]).await), ["balance"]);

    assert_eq!(records.told(&[&["delete"], &RECORD, &["--overwrite"]]).await, [json!({"deleted": true})]);
    let past = records.told(&[&["history"], &RECORD]).await;
    let told: Vec<_> = past.iter().map(|edition| (edition["revision"].clone(), edition["deleted"].clone())).collect();
    let wanted = [(4, true), (3, false), (2, false), (1, false)].map(|(n, gone)| (json!(n), json!(gone)));
    assert_eq!(told, wanted);
    assert_eq!(records.told(&[&["locks", "accounts", "C-1"]]).await, [] as [Value; 0]);

    let text =
        records.place.run(&["--address", &records.up.gateway(), "state", "history", "accounts", "C-1", "note"]).await;
    assert!(text.code == 0 && text.out.starts_with("r1  ") && text.out.contains("plain text"), "{text:?}");
    records.end().await;
}

#[tokio::test]
async fn a_lock_that_is_taken_through_the_gateway_is_listed_with_its_line() {
    let records = Records::start().await;
    let state = Client::connect(&records.up.gateway(), "").expect("well-formed").state();
    let request = || LockRequest::new("accounts", "C-1", "settling");
    let held = state.lock(request()).await.expect("nobody has it");
    let waiting = tokio::spawn(async move { state.lock(request().wait(SOON)).await });
    let listed = loop {
        let listed = records.told(&[&["locks", "accounts", "C-1"]]).await.remove(0);
        if listed["waiting"] == 1 {
            break listed;
        }
    };
    assert_eq!(
        (&listed["name"], &listed["fence"], &listed["ttl_ms"]),
        (&json!("settling"), &json!(held.fence()), &json!(30_000))
    );
    held.release().await.expect("reachable");
    let next = timeout(SOON, waiting).await.expect("in time").expect("no panic").expect("it is next");
    assert_eq!(records.told(&[&["locks", "accounts", "C-1"]]).await[0]["fence"], json!(next.fence()));
    drop(next);
    records.end().await;
}

#[tokio::test]
async fn changes_are_followed_and_another_watch_goes_on_behind_one() {
    let records = Records::start().await;
    let address = records.up.gateway();
    let watch = ["--json", "--address", &address, "state", "watch", "accounts", "C-1"];
    let mut child = records.place.command(&watch).stdout(Stdio::piped()).spawn().expect("the executable runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let opened = line(&mut lines).await["token"].as_str().expect("a token").to_owned();

    records.told(&[&["put"], &RECORD, &["1"]]).await;
    records.told(&[&["put"], &RECORD, &["2", "--overwrite"]]).await;
    let first = line(&mut lines).await;
    assert_eq!((&first["key"], &first["value"], &first["overwrote"]), (&json!("balance"), &json!(1), &json!(false)));
    let second = line(&mut lines).await;
    assert_eq!((&second["value"], &second["overwrote"]), (&json!(2), &json!(true)));
    child.kill().await.expect("it runs");

    let mut again = records.place.command(&[&watch, ["--after", &opened].as_slice()].concat());
    let mut child = again.stdout(Stdio::piped()).spawn().expect("the executable runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(line(&mut lines).await["token"], json!(opened));
    assert_eq!(
        (line(&mut lines).await["value"].clone(), line(&mut lines).await["value"].clone()),
        (json!(1), json!(2))
    );
    child.kill().await.expect("it runs");
    records.end().await;
}
