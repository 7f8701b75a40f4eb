//! What every place promises, asked of this one: the tests of this program, run once more on a PostgreSQL.

use std::process::Stdio;

use holdfast_testkit::Postgres as Server;
use tokio::process::Command;

use crate::home::ON_POSTGRES;

async fn hold(names: &[&str]) {
    let server = Server::start().await;
    let mut tests = Command::new(std::env::current_exe().expect("this program is a file"));
    tests.args(names).args(["--skip", "shared::"]).env(ON_POSTGRES, server.url()).stdin(Stdio::null());
    let told = tests.output().await.expect("this program can be started");
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}\n{}", String::from_utf8_lossy(&told.stderr));
    assert!(!said.contains("running 0 tests"), "{said}");
}

macro_rules! kept_as_everywhere {
    ($($test:ident: $($name:literal)*;)*) => { $(
        #[tokio::test]
        async fn $test() {
            hold(&[$($name),*]).await;
        }
    )* };
}

kept_as_everywhere! {
    versions_are_kept_as_everywhere: "versions::" "tenants::" "counter::";
    batches_and_lists_are_kept_as_everywhere: "batches::" "lists::" "input::";
    repeats_and_lives_are_kept_as_everywhere: "repeats::" "lives::" "upkeep::";
    fences_and_locks_are_kept_as_everywhere: "fences::" "locks::" "durability::";
    histories_are_kept_as_everywhere: "history::" "ttl::" "stale::";
    watches_are_kept_as_everywhere: "watch::";
}
