//! A Redis that does not answer, and one that comes back.

use holdfast_storage::Class;
use holdfast_testkit::{Fault, FaultProxy, Signal};

use super::*;

async fn through(line: &FaultProxy) -> RedisPlace {
    let url = format!("\"redis://{}\"", line.address());
    accepted(&settings(&url, "timeout = \"300ms\"")).await
}

/// The answer once it is back.
async fn back(place: &RedisPlace) -> Standing {
    loop {
        match place.standing(shard(3), EPOCH).await {
            Ok(standing) => return standing,
            Err(Trouble::Away { .. }) => tokio::task::yield_now().await,
            Err(Trouble::Closed) => panic!("it is the same life"),
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_in_doubt_what_was_done() {
    let redis = Redis::start().await;
    let line = FaultProxy::to(redis.address()).await;
    let place = through(&line).await;
    place.open(shard(4), EPOCH, 5).await.expect("the server knows the script from here on");
    line.set(Fault::LoseReply);
    let told = place.open(shard(3), EPOCH, 5).await;
    assert!(matches!(told, Err(Trouble::Away { in_doubt: true, .. })), "{told:?}");
    line.set(Fault::None);
    assert_eq!(back(&place).await.stored, 5);
}

#[tokio::test]
async fn a_redis_that_refuses_was_not_asked() {
    let mut redis = Redis::start().await;
    let place = at(&redis).await;
    redis.kill().await;
    let first = place.standing(shard(3), EPOCH).await;
    assert!(matches!(first, Err(Trouble::Away { .. })), "{first:?}");
    let told = place.open(shard(3), EPOCH, 5).await;
    let Err(Trouble::Away { failure, in_doubt: false }) = told else { panic!("{told:?}") };
    assert!(failure.retry_after().is_some());
}

#[tokio::test]
async fn a_redis_that_hangs_is_left_alone_until_it_answers() {
    let redis = Redis::start().await;
    let line = FaultProxy::to(redis.address()).await;
    let place = through(&line).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    redis.signal(Signal::Stop).await;
    let told = place.standing(shard(3), EPOCH).await;
    let Err(Trouble::Away { failure, in_doubt: true }) = told else { panic!("{told:?}") };
    assert_eq!(failure.class(), Class::Silent);
    let (mut opened, mut calls) = (line.connections(), 0);
    loop {
        let told = place.standing(shard(3), EPOCH).await;
        let Err(Trouble::Away { in_doubt: false, .. }) = told else { panic!("{told:?}") };
        if line.connections() == opened {
            break;
        }
        (opened, calls) = (line.connections(), calls + 1);
        assert!(calls < 10, "the breaker never opens");
    }
    redis.signal(Signal::Continue).await;
    assert_eq!(back(&place).await.stored, 5);
}

#[tokio::test]
async fn a_redis_that_is_full_takes_nothing_and_says_so() {
    let redis = Redis::start().await;
    let place = at(&redis).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    let written = several::write(&place, 3, "k").await;
    redis.command("CONFIG SET maxmemory 1").await.unwrap();
    let told = place.open(shard(4), EPOCH, 5).await;
    let Err(Trouble::Away { failure, in_doubt: false }) = told else { panic!("{told:?}") };
    assert_eq!(failure.class(), Class::Full);
    place.mark(shard(3), EPOCH, written).await.expect("this makes room");
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().stored, written, "and what is there is read on");
    let scope = FenceScope { tenant: "t".into(), name: "n".into() };
    place.raise_fence(shard(3), EPOCH, &scope, &Fence { number: 1, lease: None }).await.expect("a fence rises");
    place.close(shard(3), EPOCH).await.expect("and an epoch ends");
    assert!(matches!(place.standing(shard(3), EPOCH).await, Err(Trouble::Closed)));
}
