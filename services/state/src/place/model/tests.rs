use std::sync::Arc;

use super::*;
use crate::place::{
    Place, Trouble,
    conformance::{Ground, SMALL_SHARE_BYTES, check},
};

async fn accepted(model: &Model) -> Client {
    let client = model.client();
    client.accept(&client.identity().await.unwrap());
    client
}

#[tokio::test]
async fn the_model_is_a_place() {
    let place = Arc::new(accepted(&Model::new(u64::MAX)).await);
    let small = Arc::new(accepted(&Model::new(SMALL_SHARE_BYTES)).await);
    check(&Ground { place, small }).await;
}

#[tokio::test]
async fn another_life_is_closed_until_it_is_accepted() {
    let model = Model::new(u64::MAX);
    let (shard, epoch) = (ShardId::from_index(3).unwrap(), EpochId(1));
    let stranger = model.client();
    assert!(matches!(stranger.open(shard, epoch, 0).await, Err(Trouble::Closed)), "nothing is accepted yet");
    let client = accepted(&model).await;
    client.open(shard, epoch, 0).await.unwrap();
    model.live_again(model.snapshot());
    assert!(matches!(client.standing(shard, epoch).await, Err(Trouble::Closed)));
    client.accept(&client.identity().await.unwrap());
    client.standing(shard, epoch).await.expect("the file was there");
    model.forget();
    assert!(matches!(client.standing(shard, epoch).await, Err(Trouble::Closed)), "the same life, and nothing in it");
}

#[tokio::test]
async fn a_lost_answer_leaves_in_doubt_what_was_done() {
    let model = Model::new(u64::MAX);
    let (shard, epoch) = (ShardId::from_index(3).unwrap(), EpochId(1));
    let client = accepted(&model).await;
    client.set(Outage::Mute);
    let lost = client.open(shard, epoch, 5).await;
    assert!(matches!(lost, Err(Trouble::Away { in_doubt: true, .. })));
    client.set(Outage::Away);
    assert!(matches!(client.standing(shard, epoch).await, Err(Trouble::Away { in_doubt: false, .. })));
    client.set(Outage::None);
    assert_eq!(client.standing(shard, epoch).await.unwrap().stored, 5);
}
