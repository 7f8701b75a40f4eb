//! The retail desk: real records, real cases, the whole mesh.

use holdfast_tests::retail::{Disturbance, replay};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_retail_desk_ends_as_it_was_recorded() {
    let Some(report) = replay(Disturbance::NONE).await else { return };
    assert!(report.wrong.is_empty(), "{} wrong: {:#?}", report.wrong.len(), report.wrong);
    assert_eq!(report.cases, 115);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_ends_as_recorded_while_each_service_is_killed_in_turn() {
    let Some(report) = replay(Disturbance::kills(1)).await else { return };
    assert!(report.wrong.is_empty(), "{} wrong after {:?}: {:#?}", report.wrong.len(), report.kills, report.wrong);
    assert_eq!(report.cases, 115);
    assert!(report.kills.len() >= 6, "each service was killed: {:?}", report.kills);
}
