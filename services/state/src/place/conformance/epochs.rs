use super::*;

pub(super) async fn closed(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["k"]).await;
    let other = stage.elsewhere();
    refuses_everything(&other).await;
    let none = other.place.survivors(other.shard, other.epoch, 0, 1_000).await.unwrap();
    assert!(none.entries.is_empty() && none.reached.is_none());
    other.place.close(other.shard, other.epoch).await.unwrap();
    stage.taken(durable([to("k", 0)])).await;
    stage.place.close(stage.shard, stage.epoch).await.unwrap();
    refuses_everything(&stage).await;
}

async fn refuses_everything(stage: &Stage<'_>) {
    let (place, shard, epoch) = (stage.place, stage.shard, stage.epoch);
    let ticket = Ticket(Bytes::new());
    let scope = fences::scope();
    let fence = fences::held(1, "a");
    assert!(is_closed(&place.look(shard, epoch, &[at("k")]).await));
    assert!(is_closed(&place.take(shard, epoch, &durable([to("k", 0)])).await));
    assert!(is_closed(&place.tickets(shard, epoch, &[at("k")]).await));
    assert!(is_closed(&place.install(shard, epoch, &[(at("k"), ticket.clone(), None)]).await));
    assert!(is_closed(&place.log(shard, epoch, 0, 1_000).await));
    assert!(is_closed(&place.mark(shard, epoch, BEGIN).await));
    assert!(is_closed(&place.arm(shard, epoch, BEGIN, Some(WIDE)).await));
    assert!(is_closed(&place.standing(shard, epoch).await));
    assert!(is_closed(&place.fence_ticket(shard, epoch, &scope).await));
    assert!(is_closed(&place.install_fence(shard, epoch, &scope, &ticket, &fence).await));
    assert!(is_closed(&place.raise_fence(shard, epoch, &scope, &fence).await));
    assert!(is_closed(&place.clear(shard, epoch).await));
}

pub(super) async fn opened_once(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["k"]).await;
    let seq = stage.taken(durable([to("k", 0)])).await;
    stage.place.open(stage.shard, stage.epoch, BEGIN + 90).await.unwrap();
    assert_eq!(stage.stands("k").await, Some((0, seq)));
    assert_eq!(stage.standing().await, Standing { decided: seq, stored: BEGIN, dirty: (0, 0) });
    let later = stage.elsewhere();
    later.place.open(later.shard, later.epoch, seq).await.unwrap();
    assert_eq!(later.stands("k").await, None, "an epoch begins with nothing");
    assert_eq!(stage.stands("k").await, Some((0, seq)), "and leaves the others as they are");
    stage.place.close(stage.shard, stage.epoch).await.unwrap();
    stage.place.open(stage.shard, stage.epoch, BEGIN).await.unwrap();
    assert!(is_closed(&stage.place.standing(stage.shard, stage.epoch).await), "what is closed stays closed");
}

pub(super) async fn survivors(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b"]).await;
    let first = stage.taken(durable([to("a", 0)])).await;
    let second = stage.taken(durable([to("a", first), to("b", 0)])).await;
    stage.mark(first).await;
    let left = async |after, bytes| {
        let left = stage.place.survivors(stage.shard, stage.epoch, after, bytes).await.unwrap();
        assert_eq!(left.reached, Some(second), "what it had reached is known to whoever asks");
        left.entries
    };
    assert_eq!(places(left(0, 1 << 20).await), [[second - 1, second]]);
    assert!(is_closed(&stage.place.take(stage.shard, stage.epoch, &durable([to("b", second)])).await));
    assert_eq!(places(left(first, 0).await), [[second - 1, second]], "asked again, it is there again");
    assert!(left(second, 1 << 20).await.is_empty());

    let amiss = Stage::open(&ground.place).await;
    amiss.place.close(amiss.shard, amiss.epoch).await.unwrap();
    let left = amiss.place.survivors(amiss.shard, amiss.epoch, BEGIN, 1_000).await.unwrap();
    assert_eq!(left.reached, None, "closed for another reason, it proves nothing");
}

pub(super) async fn cleared(ground: &Ground) {
    let (asked, unasked) = (Stage::open(&ground.place).await, Stage::open(&ground.place).await);
    for stage in [&asked, &unasked] {
        stage.fill(&["k"]).await;
        stage.taken(durable([to("k", 0)])).await;
    }
    let empty = Stage::open(&ground.place).await;
    assert_eq!(asked.place.survivors(asked.shard, asked.epoch, 0, 1_000).await.unwrap().entries.len(), 1);
    let now = Stage::open(&ground.place).await;
    now.fill(&["k"]).await;
    let clear = || now.place.clear(now.shard, now.epoch);
    let named = clear().await.unwrap();
    assert!(named.contains(&unasked.epoch) && !named.contains(&asked.epoch) && !named.contains(&empty.epoch));
    let left = async |stage: &Stage<'_>| stage.place.set_aside(stage.shard, stage.epoch, 0, 1_000).await.unwrap();
    assert!(left(&asked).await.is_empty());
    for stage in [&asked, &unasked, &empty] {
        assert!(is_closed(&stage.place.standing(stage.shard, stage.epoch).await));
    }
    for _ in 0..2 {
        assert_eq!(left(&unasked).await.len(), 1, "set aside");
        assert!(clear().await.unwrap().contains(&unasked.epoch), "to look at it takes nothing away");
    }
    unasked.place.survivors(unasked.shard, unasked.epoch, 0, 1_000).await.unwrap();
    assert!(!clear().await.unwrap().contains(&unasked.epoch), "asked for, and gone");
    assert!(left(&unasked).await.is_empty());
    assert_eq!(now.stands("k").await, Some((0, 0)), "the epoch that decides keeps everything");
}
