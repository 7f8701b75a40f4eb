use holdfast_tests::queue_kills;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_ends_twice_when_the_queue_is_killed() {
    let report = queue_kills::run(20).await;
    assert_eq!(report.kills, 20);
    assert!(report.acknowledged >= 20, "{report:?}");
    assert_eq!((report.missing, report.repeated), (0, 0), "{report:?}");
    assert_eq!(report.held, report.acknowledged, "a repeated submission is the same invocation");
}
