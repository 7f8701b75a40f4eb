use super::*;

pub(super) async fn compare_and_set(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    assert!(matches!(stage.take(durable([to("k", 0)])).await, Taken::Changed), "it is not there");
    stage.fill(&["k"]).await;
    assert!(matches!(stage.take(durable([to("k", 1)])).await, Taken::Changed));
    let first = stage.taken(durable([to("k", 0)])).await;
    assert_eq!(first, BEGIN + 1);
    assert!(matches!(stage.take(durable([to("k", 0)])).await, Taken::Changed));
    let second = stage.taken(durable([to("k", first)])).await;
    let Seen::Here { tip: Some(tip), .. } = stage.look("k").await else { panic!("it is a tip") };
    assert_eq!((tip.seq, tip.previous), (second, first));
    stage.mark(second).await;
    assert!(matches!(stage.take(durable([to("k", first)])).await, Taken::Changed));
    stage.taken(durable([to("k", second)])).await;
}

pub(super) async fn batches(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b"]).await;
    assert!(matches!(stage.take(durable([to("a", 0), to("missing", 0)])).await, Taken::Changed));
    assert!(matches!(stage.take(durable([to("a", 0), to("b", 9)])).await, Taken::Changed));
    assert_eq!(stage.standing().await.decided, BEGIN);
    assert_eq!(stage.stands("a").await, Some((0, 0)));
    let Taken::Taken(places) = stage.take(durable([to("b", 0), to("a", 0)])).await else { panic!("both are taken") };
    assert_eq!(places, [BEGIN + 1, BEGIN + 2], "in the order of the moves");
    assert_eq!((stage.stands("b").await, stage.stands("a").await), (Some((0, places[0])), Some((0, places[1]))));
    assert_eq!(stage.log(BEGIN, 1 << 20).await, [places], "one entry");
}

pub(super) async fn stored_first(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["k", "other"]).await;
    let first = stage.taken(durable([to("k", 0)])).await;
    let other = stage.taken(durable([to("other", 0)])).await;
    let second = stage.taken(durable([to("k", first)])).await;
    assert_eq!(stage.stands("k").await, Some((0, second)));
    stage.mark(first).await;
    assert_eq!(stage.stands("k").await, Some((first, second)), "each in its order, as it was");
    assert_eq!(stage.stands("other").await, Some((0, other)));
    stage.mark(second).await;
    assert_eq!((stage.stands("k").await, stage.stands("other").await), (Some((second, 0)), Some((other, 0))));
    let Seen::Here { visible: Some(visible), .. } = stage.look("k").await else { panic!("it is visible") };
    assert_eq!(visible.previous, first);
}

pub(super) async fn seen_at_once(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.arm(BEGIN, true).await;
    stage.fill(&["k", "other"]).await;
    let first = stage.taken(cached([to("k", 0)])).await;
    assert_eq!(stage.stands("k").await, Some((first, 0)));
    let second = stage.taken(cached([to("k", first)])).await;
    assert_eq!(stage.stands("k").await, Some((second, 0)));
    let durable = stage.taken(durable([to("k", second)])).await;
    assert_eq!(stage.stands("k").await, Some((second, durable)));
    let on_top = stage.take(cached([to("other", 0), to("k", durable)])).await;
    assert!(matches!(on_top, Taken::Full), "{on_top:?}");
    assert_eq!(stage.stands("other").await, Some((0, 0)));
    stage.mark(first).await;
    assert_eq!(stage.stands("k").await, Some((second, durable)), "what is older shows nothing older");
    stage.mark(durable).await;
    assert_eq!(stage.stands("k").await, Some((durable, 0)));
    let last = stage.taken(cached([to("k", durable)])).await;
    let log = stage.place.log(stage.shard, stage.epoch, durable, 1_000).await.unwrap();
    assert!(log.len() == 1 && log[0].cached && log[0].editions[0].1.previous == durable);
    stage.mark(last).await;
    assert_eq!(stage.stands("k").await, Some((last, 0)));
}

pub(super) async fn window(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b", "c"]).await;
    let narrow = |moves: Vec<Move>| Moves { window_writes: 2, ..cached(moves) };
    assert!(matches!(stage.take(narrow(vec![to("a", 0)])).await, Taken::Full), "nothing says that it is dirty");
    assert!(stage.arm(BEGIN, true).await);
    let bytes = to("a", 0).bytes();
    assert!(matches!(stage.take(narrow(vec![to("a", 0), to("b", 0), to("c", 0)])).await, Taken::Full));
    let second = stage.taken(narrow(vec![to("a", 0), to("b", 0)])).await;
    assert_eq!(stage.standing().await, Standing { decided: second, stored: BEGIN, dirty: (2, 2 * bytes) });
    assert!(matches!(stage.take(narrow(vec![to("c", 0)])).await, Taken::Full));
    let third = stage.taken(durable([to("c", 0)])).await;
    assert_eq!(stage.standing().await.dirty, (2, 2 * bytes), "a DURABLE write is not of the window");
    stage.mark(second).await;
    assert_eq!(stage.standing().await, Standing { decided: third, stored: second, dirty: (0, 0) });
    let by_bytes = |room| Moves { window_bytes: room, ..cached([to("a", second - 1)]) };
    assert!(matches!(stage.take(by_bytes(bytes - 1)).await, Taken::Full));
    stage.taken(by_bytes(bytes)).await;
}

pub(super) async fn arming(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["k"]).await;
    assert!(stage.arm(BEGIN, false).await, "it begins so");
    assert!(!stage.arm(BEGIN, true).await, "as old as the news that it is not");
    assert!(!stage.arm(BEGIN - 1, true).await, "older");
    assert!(stage.arm(BEGIN + 3, true).await);
    assert!(!stage.arm(BEGIN + 2, false).await, "older");
    let first = stage.taken(cached([to("k", 0)])).await;
    assert!(!stage.arm(BEGIN + 4, false).await, "something CACHED is not stored");
    stage.taken(cached([to("k", first)])).await;
    stage.mark(first + 1).await;
    assert!(stage.arm(BEGIN + 3, false).await);
    assert!(matches!(stage.take(cached([to("k", first + 1)])).await, Taken::Full));
}

pub(super) async fn marks(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b"]).await;
    let first = stage.taken(durable([to("a", 0)])).await;
    let second = stage.taken(durable([to("b", 0)])).await;
    stage.mark(second).await;
    stage.mark(first).await;
    let stands = Standing { decided: second, stored: second, dirty: (0, 0) };
    assert_eq!(stage.standing().await, stands);
    assert!(stage.log(BEGIN, 1_000).await.is_empty());
    let many: Vec<_> = (0..700).map(|n| format!("{n}")).collect();
    stage.fill(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut last = second;
    for key in &many {
        last = stage.taken(durable([to(key, 0)])).await;
    }
    stage.mark(last).await;
    assert_eq!(stage.standing().await.stored, last);
    assert_eq!(stage.stands("699").await, Some((last, 0)));
    let last = stage.taken(durable([to("a", first)])).await;
    assert!(is_closed(&stage.place.mark(stage.shard, stage.epoch, last + 1).await), "a place that was never given");
    assert!(is_closed(&stage.place.standing(stage.shard, stage.epoch).await));
}

pub(super) async fn guarded(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    let guarded = |revision| Moves { guard: Some((at("lock"), revision)), ..durable([to("k", 0)]) };
    stage.fill(&["k"]).await;
    assert!(matches!(stage.take(guarded(1)).await, Taken::Changed), "the lock is not there");
    stage.fill(&["lock"]).await;
    assert!(matches!(stage.take(guarded(1)).await, Taken::Changed), "nobody ever held it");
    let locked = stage.taken(durable([to("lock", 0)])).await;
    assert!(matches!(stage.take(guarded(2)).await, Taken::Changed), "another's");
    let write = stage.taken(guarded(1)).await;
    let mut free = to("lock", locked);
    free.edition = Edition { value: None, ..edition(2, 0) };
    stage.taken(durable([free])).await;
    let mut again = guarded(2);
    again.moves[0].expected = write;
    assert!(matches!(stage.take(again).await, Taken::Changed), "it was given back");
}

pub(super) async fn armed_window(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b", "c"]).await;
    let bytes = to("a", 0).bytes();
    assert!(stage.arm_with(BEGIN, Some(Bound { writes: 2, bytes: 1 << 20 })).await);
    assert!(matches!(stage.take(cached([to("a", 0), to("b", 0), to("c", 0)])).await, Taken::Full), "more than it says");
    let second = stage.taken(cached([to("a", 0), to("b", 0)])).await;
    assert!(matches!(stage.take(cached([to("c", 0)])).await, Taken::Full));
    stage.mark(second).await;
    assert!(stage.arm_with(second, Some(Bound { writes: 9, bytes: bytes - 1 })).await);
    assert!(matches!(stage.take(cached([to("c", 0)])).await, Taken::Full), "more bytes than it says");
    assert!(stage.arm_with(second + 1, Some(Bound { writes: 9, bytes })).await);
    stage.taken(cached([to("c", 0)])).await;
}

pub(super) async fn window_age(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b"]).await;
    stage.arm(BEGIN, true).await;
    let at_once = |moves: Move| Moves { window_age: Duration::ZERO, ..cached([moves]) };
    let waits = stage.taken(durable([to("b", 0)])).await;
    let first = stage.taken(at_once(to("a", 0))).await;
    assert!(matches!(stage.take(at_once(to("a", first))).await, Taken::Full), "the one before is not stored");
    let second = stage.taken(cached([to("a", first)])).await;
    stage.mark(waits).await;
    stage.mark(first).await;
    assert!(matches!(stage.take(at_once(to("a", second))).await, Taken::Full), "nor is this one");
    stage.mark(second).await;
    stage.taken(at_once(to("a", second))).await;
}

pub(super) async fn crowded(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b"]).await;
    stage.arm(BEGIN, true).await;
    let bytes = to("a", 0).bytes();
    let room = |moves: Moves, room: u64| Moves { unstored_bytes: room, ..moves };
    let first = stage.taken(room(durable([to("a", 0)]), 0)).await;
    assert!(matches!(stage.take(room(durable([to("b", 0)]), 2 * bytes - 1)).await, Taken::Crowded));
    assert!(matches!(stage.take(room(cached([to("b", 0)]), 2 * bytes - 1)).await, Taken::Crowded));
    let second = stage.taken(room(cached([to("b", 0)]), 2 * bytes)).await;
    assert!(matches!(stage.take(room(durable([to("a", first)]), 2 * bytes)).await, Taken::Crowded));
    stage.mark(first).await;
    assert!(matches!(stage.take(room(durable([to("a", first)]), 2 * bytes - 1)).await, Taken::Crowded));
    stage.mark(second).await;
    stage.taken(room(durable([to("a", first)]), 0)).await;
}
