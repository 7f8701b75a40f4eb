//! On real servers.

mod bounds;
mod lives;
mod outages;
mod several;

use std::sync::Arc;

use holdfast_config::{Common, Document};
use holdfast_testkit::Redis;

use super::*;
use crate::place::{
    Trouble,
    conformance::{Ground, SMALL_SHARE_BYTES, check},
};

/// The settings for a Redis, by what stands in the configuration behind `url =`, and more.
fn settings(url: &str, more: &str) -> Settings {
    let text = format!("[redis]\nurl = {url}\n{more}\n");
    Common::from_document(&Document::parse("test", &text, []).unwrap()).unwrap().redis
}

fn place(url: &str) -> RedisPlace {
    RedisPlace::new(&settings(&format!("{url:?}"), "")).unwrap()
}

/// A place whose life is accepted.
async fn accepted(settings: &Settings) -> RedisPlace {
    let place = RedisPlace::new(settings).unwrap();
    place.accept(&place.identity().await.unwrap());
    place
}

async fn at(redis: &Redis) -> RedisPlace {
    accepted(&settings(&format!("{:?}", redis.url()), "")).await
}

async fn conforms(settings: &Settings) {
    let place = Arc::new(accepted(settings).await);
    let small = Arc::new(accepted(settings).await.with_share(SMALL_SHARE_BYTES));
    check(&Ground { place, small }).await;
}

fn shard(index: usize) -> ShardId {
    ShardId::from_index(index).unwrap()
}

const EPOCH: EpochId = EpochId(7);

#[tokio::test]
async fn a_redis_is_a_place() {
    let redis = Redis::start().await;
    conforms(&settings(&format!("{:?}", redis.url()), "")).await;
}

#[tokio::test]
async fn a_redis_that_forgets_is_refused_with_what_to_set() {
    let redis = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let place = place(&redis.url());
    let why = place.check().await.unwrap_err();
    assert!(why.contains("allkeys-lru") && why.contains("noeviction"), "{why}");
    assert!(matches!(place.identity().await, Err(Trouble::Away { in_doubt: false, .. })), "nor is it used");
    redis.command("CONFIG SET maxmemory-policy noeviction").await.unwrap();
    place.check().await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_not_refused() {
    let mut redis = Redis::start().await;
    redis.kill().await;
    place(&redis.url()).check().await.expect("it may come");
}

#[tokio::test]
async fn a_password_is_shown_and_never_printed() {
    let redis = Redis::start_with(&["--requirepass", "hush"]).await;
    let stranger = place(&redis.url());
    assert!(matches!(stranger.identity().await, Err(Trouble::Away { in_doubt: false, .. })));
    let place = place(&format!("redis://:hush@127.0.0.1:{}", redis.port()));
    place.identity().await.unwrap();
    assert!(!format!("{place:?}").contains("hush"));
    let wrong = self::place(&format!("redis://:hash@127.0.0.1:{}", redis.port())).identity().await.unwrap_err();
    assert!(!format!("{wrong:?}").contains("hash"), "{wrong:?}");
}
