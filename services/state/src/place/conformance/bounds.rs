use super::*;

pub(super) async fn share(ground: &Ground) {
    let stage = Stage::open(&ground.small).await;
    stage.arm(BEGIN, true).await;
    stage.fill(&["tip", "cached"]).await;
    let tip = stage.taken(durable([to("tip", 0)])).await;
    let cached = stage.taken(cached([to("cached", 0)])).await;
    let keys: Vec<_> = (0..2_000).map(|n| format!("{n:04}")).collect();
    install_all(&stage, &keys, 1_000).await;
    let here = here(&stage, &keys).await;
    assert!((16..=64).contains(&here), "{here} records of a thousand bytes");
    assert_eq!(stage.stands("tip").await, Some((0, tip)));
    assert_eq!(stage.stands("cached").await, Some((cached, 0)));
    let last =
        stage.taken(durable([Move { edition: edition(2, 2 * SMALL_SHARE_BYTES as usize), ..to("tip", tip) }])).await;
    assert_eq!(stage.stands("tip").await, Some((0, last)), "what is not stored is never evicted, however large it is");
    stage.mark(last).await;
    let together: Vec<_> = keys[..8].iter().map(String::as_str).collect();
    stage.fill(&together).await;
    for _ in 0..50 {
        install_all(&stage, &keys[1_000..1_100], 1_000).await;
    }
    assert_eq!(stage.stands("tip").await, None, "what is stored is");
    let large: Vec<_> = keys[..10].iter().map(String::as_str).collect();
    let addresses: Vec<_> = large.iter().map(|key| at(key)).collect();
    let tickets = stage.place.tickets(stage.shard, stage.epoch, &addresses).await.unwrap();
    let content = Arc::new(edition(1, SMALL_SHARE_BYTES as usize / 4));
    let found = addresses.iter().zip(tickets).map(|(at, ticket)| (at.clone(), ticket, Some(content.clone())));
    stage.place.install(stage.shard, stage.epoch, &found.collect::<Vec<_>>()).await.unwrap();
    let seen = stage.place.look(stage.shard, stage.epoch, &addresses).await.unwrap();
    assert!(seen.iter().all(|seen| matches!(seen, Seen::Here { .. })), "what a call installs, it can use together");
}

async fn install_all(stage: &Stage<'_>, keys: &[String], bytes: usize) {
    for keys in keys.chunks(10) {
        let addresses: Vec<_> = keys.iter().map(|key| at(key)).collect();
        let tickets = stage.place.tickets(stage.shard, stage.epoch, &addresses).await.unwrap();
        let content = Arc::new(Edition { seq: 1, ..edition(1, bytes) });
        let found = addresses.into_iter().zip(tickets).map(|(at, ticket)| (at, ticket, Some(Arc::clone(&content))));
        stage.place.install(stage.shard, stage.epoch, &found.collect::<Vec<_>>()).await.unwrap();
    }
}

async fn here(stage: &Stage<'_>, keys: &[String]) -> usize {
    let addresses: Vec<_> = keys.iter().map(|key| at(key)).collect();
    let seen = stage.place.look(stage.shard, stage.epoch, &addresses).await.unwrap();
    seen.iter().filter(|seen| matches!(seen, Seen::Here { .. })).count()
}
