use holdfast_tests::histories::clients::Load;
use holdfast_tests::histories::stage::Backing;
use holdfast_tests::histories::{Plan, Report, run};

/// `tests/prove state_histories` makes 50,000 calls of each.
async fn two_thousand(backing: Backing, cached_percent: u32) -> Report {
    let load = Load { calls: 2_000, clients: 8, records: 16, cached_percent };
    let report = run(&Plan { load, backing, processes: 3, faults_each: 1 }).await;
    println!("{}", report.figures());
    assert!(report.broken.is_empty(), "{}", report.broken.join("\n"));
    assert!(report.answered >= 1_500, "too little was done to show anything");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn records_on_one_machine_are_linearizable_through_kills() {
    two_thousand(Backing::Embedded, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_several_processes_on_one_database_are_linearizable_through_kills() {
    let report = two_thousand(Backing::Postgres, 30).await;
    assert_eq!((report.cached, report.epochs_lost), (0, 0), "nothing is ever acknowledged before it is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_decided_in_redis_lose_only_what_was_cached_and_say_so() {
    let report = two_thousand(Backing::Redis, 30).await;
    assert!(report.cached > 0, "nothing was acknowledged from the cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_survive_a_replica_that_takes_over_without_the_newest_writes() {
    let report = two_thousand(Backing::RedisPair, 30).await;
    assert!(report.cached > 0, "nothing was acknowledged from the cache");
}
