use holdfast_tests::kill_storm::{self, Report, Stage, Storm};

fn nothing_is_lost_or_repeated(report: &Report) {
    assert!(report.holds(), "{report:?}");
    assert!(report.killed() >= Storm::SHORT.kills_min && report.completed > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_the_embedded_store_loses_nothing_and_repeats_nothing_without_cause() {
    let storm = Storm::SHORT;
    nothing_is_lost_or_repeated(&kill_storm::run(&storm, Stage::embedded(&storm).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_two_queues_on_one_postgresql_loses_nothing_and_repeats_nothing_without_cause() {
    let storm = Storm::SHORT;
    nothing_is_lost_or_repeated(&kill_storm::run(&storm, Stage::postgres(&storm).await).await);
}
