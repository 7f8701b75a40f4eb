use holdfast_testkit::{Fault, FaultProxy, Postgres, Redis, RedisCluster, RedisSentinel};

#[tokio::test]
async fn postgres_keeps_what_it_committed_through_a_kill() {
    let mut postgres = Postgres::start().await;
    postgres.query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (41)").await;
    postgres.restart().await;
    assert_eq!(postgres.query("SELECT n + 1 FROM kept").await, "42");
}

#[tokio::test]
async fn what_a_postgres_shared_with_its_children_ends_with_it() {
    let postgres = Postgres::start().await;
    let pid_file = std::fs::read_to_string(postgres.directory().join("data/postmaster.pid")).unwrap();
    let lines: Vec<_> = pid_file.lines().collect();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", lines[0])).unwrap();
    let files = maps.lines().filter_map(|line| line.find("/dev/shm/PostgreSQL.").map(|at| line[at..].to_owned()));
    let files: Vec<String> = files.collect();
    let segment = lines[6].split_whitespace().nth(1).unwrap().to_owned();
    let segments = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let is_there = |all: &str| all.lines().any(|line| line.split_whitespace().nth(1) == Some(segment.as_str()));
    assert!(is_there(&segments()) && !files.is_empty(), "{files:?}");
    drop(postgres);
    assert!(files.iter().all(|file| !std::path::Path::new(file).exists()), "{files:?}");
    // Marked to go with the last process that has it, it is under another key until then.
    let key = lines[6].split_whitespace().next().unwrap();
    assert!(!segments().lines().any(|line| line.split_whitespace().next() == Some(key)), "{key}");
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

#[tokio::test]
async fn a_replica_without_the_newest_writes_takes_over() {
    let master = Redis::start().await;
    let line = FaultProxy::to(master.address()).await;
    let mut replica = Redis::start_replica(line.address()).await;
    master.command("SET old kept").await.unwrap();
    replica.has("old").await;
    line.set(Fault::Stall);
    master.command("SET new lost").await.unwrap();
    replica.promote().await;
    assert_eq!(replica.command("GET new").await.unwrap(), "$-1\r\n");
    assert_eq!(replica.command("SET new again").await.unwrap(), "+OK\r\n");
}

#[tokio::test]
async fn a_sentinel_names_the_replica_once_the_master_is_gone() {
    let mut master = Redis::start().await;
    let replica = Redis::start_replica(master.address()).await;
    let mut sentinel = RedisSentinel::start(&master).await;
    sentinel.names(&master).await;
    master.kill().await;
    sentinel.names(&replica).await;
}

#[tokio::test]
async fn a_cluster_has_each_slot_at_one_node() {
    let mut cluster = RedisCluster::start().await;
    let mut moved = 0;
    for node in cluster.nodes() {
        moved += usize::from(node.command("GET {hf:07}:x").await.unwrap().starts_with("-MOVED"));
    }
    assert_eq!(moved, 2);
}
