//! A store that was restored from a copy lacks what was acknowledged after the copy was made. Its operator says so.

use std::path::Path;

use holdfast_config::{Common, Document};
use holdfast_state::restored;
use holdfast_testkit::Postgres as Server;
use tonic::Code;

use crate::harness::*;

#[tokio::test]
async fn after_a_restored_directory_a_lost_version_is_told_apart_from_an_old_one() {
    let state = Harness::in_files().await;
    let kept = state.make("k", "1").await;
    let (home, config) = state.shut().await;
    let copy = tempfile::tempdir().expect("a directory of this test's own");
    copy_files(&home.path(), copy.path());

    let state = Harness::on(home, config).await;
    let lost = state.put(put("k", "2", Some(&kept))).await.expect("it is acknowledged").version;
    let (home, config) = state.shut().await;
    copy_files(copy.path(), &home.path());
    let mut common = Common::default();
    common.data.dir = home.path();
    let ended = restored::end_epoch(&common, &config).await.expect("nobody uses it");
    assert!(ended.is_some());

    shows_the_loss(&Harness::on(home, config).await, &kept, &lost).await;
}

#[tokio::test]
async fn a_directory_that_is_in_use_is_left_alone() {
    let state = Harness::in_files().await;
    let at = state.make("k", "1").await;
    let (home, config) = state.shut().await;
    let mut common = Common::default();
    common.data.dir = home.path();
    let in_use = holdfast_state::store::sqlite::open(&home.path(), 0).expect("nobody else uses it");
    restored::end_epoch(&common, &config).await.expect_err("somebody does");
    drop(in_use);
    Harness::on(home, config).await.put(put("k", "2", Some(&at))).await.expect("the epoch goes on");
}

#[tokio::test]
async fn an_empty_directory_has_no_epoch_to_end() {
    let directory = tempfile::tempdir().expect("a directory of this test's own");
    let mut common = Common::default();
    common.data.dir = directory.path().to_path_buf();
    assert!(restored::end_epoch(&common, &holdfast_state::Config::default()).await.expect("it is usable").is_none());
}

#[tokio::test]
async fn after_a_restored_database_a_lost_version_is_told_apart_from_an_old_one() {
    let server = Server::start().await;
    let state = Harness::on(Home::at(&server.url()), holdfast_state::Config::default()).await;
    let kept = state.make("k", "1").await;
    let (_, config) = state.shut().await;
    let (base, name) =
        server.url().rsplit_once('/').map(|(base, name)| (base.to_owned(), name.to_owned())).expect("a URL");
    server.query(&format!("CREATE DATABASE restored TEMPLATE {name}")).await;

    let state = Harness::on(Home::at(&server.url()), config).await;
    let lost = state.put(put("k", "2", Some(&kept))).await.expect("it is acknowledged").version;
    let (_, config) = state.shut().await;
    let url = format!("{base}/restored");
    let named = [("HOLDFAST_DATABASE__URL".to_owned(), url.clone())];
    let common = Common::from_document(&Document::parse("the test", "", named).expect("it is TOML")).expect("a URL");
    // A process that runs on it already learns of it by itself.
    let state = Harness::on(Home::at(&url), config.clone()).await;
    assert!(restored::end_epoch(&common, &config).await.expect("the database answers").is_some());

    shows_the_loss(&state, &kept, &lost).await;
}

/// The version that is gone is called lost, with the one that is there; what was read before the copy still counts.
async fn shows_the_loss(state: &Harness, kept: &[u8], lost: &[u8]) {
    let refused = state.put(put("k", "3", Some(lost))).await.expect_err("that version is gone");
    assert_eq!(refused.code(), Code::DataLoss, "{refused:?}");
    assert_eq!(loss(&refused).current.expect("the version that is there").version, kept);
    state.put(put("k", "3", Some(kept))).await.expect("this one is there");
}

fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(to).expect("it is readable") {
        std::fs::remove_file(file.expect("it is readable").path()).expect("it is a file");
    }
    for file in std::fs::read_dir(from).expect("it is readable") {
        let file = file.expect("it is readable");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("it is copied");
    }
}
