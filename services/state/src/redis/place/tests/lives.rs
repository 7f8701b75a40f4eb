//! Another life of a Redis is never taken for the one that was accepted.

use super::*;

fn is_closed<T>(told: &Result<T, Trouble>) -> bool {
    matches!(told, Err(Trouble::Closed))
}

/// The answer once the broken connection is noticed.
async fn standing(place: &RedisPlace) -> Result<Standing, Trouble> {
    loop {
        match place.standing(shard(3), EPOCH).await {
            Err(Trouble::Away { .. }) => tokio::task::yield_now().await,
            told => return told,
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_life_that_was_not_accepted() {
    let redis = Redis::start().await;
    let place = place(&redis.url());
    assert!(is_closed(&place.open(shard(3), EPOCH, 0).await));
    assert_eq!(redis.command("DBSIZE").await.unwrap(), ":0\r\n");
}

#[tokio::test]
async fn a_restart_without_the_newest_writes_is_another_life() {
    let mut redis = Redis::start_with(&["--appendonly", "no"]).await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    redis.command("SAVE").await.unwrap();
    place.open(shard(4), EPOCH, 5).await.unwrap();
    redis.restart().await;
    assert!(is_closed(&standing(&place).await), "though the epoch stands in the file as open");
    let now = place.identity().await.unwrap();
    assert!(is_closed(&place.standing(shard(3), EPOCH).await), "to have asked is not to accept");
    place.accept(&now);
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().stored, 5);
    assert!(is_closed(&place.standing(shard(4), EPOCH).await), "this one was lost");
}

#[tokio::test]
async fn another_redis_at_the_same_address_is_another_life() {
    let mut redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    let before = place.identity().await.unwrap();
    redis.replace().await;
    at(&redis).await.open(shard(3), EPOCH, 9).await.unwrap();
    assert!(is_closed(&standing(&place).await));
    assert_ne!(place.identity().await.unwrap(), before);
}

#[tokio::test]
async fn what_is_deleted_in_a_redis_is_not_there() {
    let redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    redis.command("FLUSHALL").await.unwrap();
    assert!(is_closed(&place.standing(shard(3), EPOCH).await));
}

#[tokio::test]
async fn a_master_that_was_a_replica_in_between_is_another_life() {
    let redis = Redis::start().await;
    let other = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    redis.command(&format!("REPLICAOF 127.0.0.1 {}", other.port())).await.unwrap();
    assert!(matches!(place.identity().await, Err(Trouble::Away { in_doubt: false, .. })), "it is no master");
    redis.command("REPLICAOF NO ONE").await.unwrap();
    assert!(is_closed(&standing(&place).await), "the same process, and another line of data");
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_told_again() {
    let redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    redis.command("SCRIPT FLUSH").await.unwrap();
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().stored, 5);
}

#[tokio::test]
async fn a_log_that_somebody_deleted_ends_the_epoch() {
    let redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    let written = several::write(&place, 3, "k").await;
    redis.command(&format!("DEL {{hf:03}}:{EPOCH}:log")).await.unwrap();
    assert!(is_closed(&place.mark(shard(3), EPOCH, written).await));
    assert!(is_closed(&place.standing(shard(3), EPOCH).await));
}

#[tokio::test]
async fn a_log_with_a_gap_ends_the_epoch() {
    let redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    several::write(&place, 3, "a").await;
    let second = several::write(&place, 3, "b").await;
    redis.command(&format!("XTRIM {{hf:03}}:{EPOCH}:log MINID {second}")).await.unwrap();
    assert!(is_closed(&place.mark(shard(3), EPOCH, second).await));
    assert!(is_closed(&place.standing(shard(3), EPOCH).await));
}
