use holdfast_testkit::{Postgres, Redis};

#[tokio::test]
async fn postgres_keeps_what_it_committed_through_a_kill() {
    let mut postgres = Postgres::start().await;
    postgres.query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (41)").await;
    postgres.restart().await;
    assert_eq!(postgres.query("SELECT n + 1 FROM kept").await, "42");
}

#[tokio::test]
async fn redis_answers_again_after_a_kill() {
    let mut redis = Redis::start().await;
    assert_eq!(redis.command("SET word kept").await.unwrap(), "+OK\r\n");
    redis.kill().await;
    assert!(redis.command("PING").await.is_err());
    redis.restart().await;
    assert_eq!(redis.command("PING").await.unwrap(), "+PONG\r\n");
}
