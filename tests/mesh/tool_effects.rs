use holdfast_tests::tool_effects;

#[tokio::test(flavor = "multi_thread")]
async fn thirty_storms_over_calls_with_effects_repeat_none_and_hide_none() {
    let report = tool_effects::run(0..30, 2).await;
    assert!(report.holds(), "{}", report.broken.join("\n"));
    assert_eq!((report.runs, report.calls), (30, 480), "{}", report.figures());
    assert_eq!(report.lacks(), [""; 0], "{}", report.figures());
}
