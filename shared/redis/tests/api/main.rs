//! The way to every kind of Redis, and what its lives are called.

use std::time::Duration;

use holdfast_config::{Common, Document, Redis as Settings};
use holdfast_redis::{Line, News, Report, Way};
use holdfast_testkit::{Redis, RedisCluster, RedisSentinel};

const CHANNEL: &str = "news";
const PATIENCE: Duration = Duration::from_secs(1);

fn settings(url: &str) -> Settings {
    let text = format!("[redis]\nurl = {url}\n");
    let document = Document::parse("t.toml", &text, []).expect("it is TOML");
    Common::from_document(&document).expect("the settings hold").redis
}

fn way(url: &str) -> Way {
    Way::new(&settings(&format!("{url:?}"))).expect("there is a Redis")
}

async fn write(line: &mut Line, key: &str) {
    let _: () = ::redis::cmd("SET").arg(key).arg("1").query_async(&mut line.link).await.expect("it takes writes");
}

#[tokio::test]
async fn without_a_url_there_is_no_way() {
    assert!(Way::new(&Settings::default()).is_none());
}

#[tokio::test]
async fn what_is_said_in_the_channel_comes_unasked_and_the_end_too() {
    let mut redis = Redis::start().await;
    let mut line = way(&redis.url()).connect("k", CHANNEL).await.expect("it is there");
    write(&mut line, "k").await;
    redis.command(&format!("PUBLISH {CHANNEL} hello")).await.expect("it answers");
    assert_eq!(line.news.recv().await, Some(News::Said("hello".into())));
    redis.kill().await;
    assert_eq!(line.news.recv().await, Some(News::Gone));
}

#[tokio::test]
async fn a_restart_a_failover_and_another_in_the_same_place_are_other_lives() {
    let mut redis = Redis::start().await;
    let mut replica = Redis::start_replica(redis.address()).await;
    let life = async |redis: &Redis| {
        let way = way(&redis.url());
        let mut link = way.dial(&way.nodes()[0], PATIENCE).await.expect("it is there");
        let report = Report::ask(&mut link, &["memory"]).await.expect("it answers");
        assert_eq!(report.field("maxmemory_policy"), "noeviction");
        (report.is_master(), report.life())
    };
    let first = life(&redis).await;
    assert_eq!((first.0, &first), (true, &life(&redis).await), "asked again it is the same");
    assert!(!life(&replica).await.0);
    replica.promote().await;
    assert_ne!(life(&replica).await, first);
    redis.restart().await;
    let second = life(&redis).await;
    assert_ne!(second, first);
    redis.replace().await;
    assert_ne!(life(&redis).await, second);
}

#[tokio::test]
async fn a_replica_is_not_connected_to() {
    let master = Redis::start().await;
    let replica = Redis::start_replica(master.address()).await;
    let refused = way(&replica.url()).connect("k", CHANNEL).await.expect_err("it takes no writes");
    assert!(refused.to_string().contains("no master"), "{refused}");
}

#[tokio::test]
async fn a_sentinel_leads_to_its_master() {
    let master = Redis::start().await;
    let _replica = Redis::start_replica(master.address()).await;
    let sentinel = RedisSentinel::start(&master).await;
    let mut line = way(&sentinel.url()).connect("k", CHANNEL).await.expect("it names one");
    write(&mut line, "k").await;
    assert_eq!(master.command("EXISTS k").await.expect("it answers"), ":1\r\n");
}

#[tokio::test]
async fn any_node_of_a_cluster_leads_to_the_one_that_has_the_key() {
    let cluster = RedisCluster::start().await;
    for first in cluster.urls() {
        let way = Way::new(&settings(&format!("[{first:?}]"))).expect("there is a Redis");
        for key in ["a", "b", "c", "{hf:x}:d"] {
            let mut line = way.connect(key, CHANNEL).await.expect("somebody has it");
            write(&mut line, key).await;
        }
    }
}
