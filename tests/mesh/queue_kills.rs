use holdfast_tests::queue_kills;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_ends_twice_when_the_queue_is_killed() {
    let report = queue_kills::run(20).await;
    assert!(report.kills == 20 && report.acknowledged >= 20, "{report:?}");
    assert!(report.nothing_lost_or_repeated(), "{report:?}");
}
