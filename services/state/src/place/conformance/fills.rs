use super::*;

pub(super) async fn round_trip(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    let hidden = at("k").in_partition().hidden("lock", "nightly");
    let addresses = [at("k"), at("é/\u{7f0}"), hidden];
    let tickets = stage.place.tickets(stage.shard, stage.epoch, &addresses).await.unwrap();
    let all: Vec<_> = (0..3).map(rich).collect();
    let mut filled = Vec::new();
    for ((address, ticket), edition) in addresses.iter().zip(tickets).zip(&all) {
        filled.push((address.clone(), ticket, Some(Arc::new(edition.clone()))));
    }
    stage.place.install(stage.shard, stage.epoch, &filled).await.unwrap();
    let seen = stage.place.look(stage.shard, stage.epoch, &addresses).await.unwrap();
    for (seen, edition) in seen.into_iter().zip(&all) {
        let Seen::Here { visible: Some(visible), tip: None } = seen else { panic!("{seen:?}") };
        assert_eq!(*visible, *edition);
    }
    let moves = addresses.iter().zip(&all).map(|(address, edition)| {
        let next = Edition { seq: 0, previous: 0, revision: edition.revision + 1, ..edition.clone() };
        Move { address: address.clone(), expected: edition.seq, edition: next }
    });
    let moves = durable(moves);
    stage.place.take(stage.shard, stage.epoch, &moves).await.unwrap();
    let wanted = moves.moves.iter().zip(BEGIN + 1..).map(|(one, seq)| {
        let edition = Edition { seq, previous: one.expected, ..one.edition.clone() };
        (one.address.clone(), Arc::new(edition))
    });
    let wanted: Vec<_> = wanted.collect();
    let log = stage.place.log(stage.shard, stage.epoch, BEGIN, 1 << 20).await.unwrap();
    assert!(log.len() == 1 && !log[0].cached);
    assert_eq!(log[0].editions, wanted);
    stage.mark(BEGIN + 3).await;
    let seen = stage.place.look(stage.shard, stage.epoch, &addresses).await.unwrap();
    for (seen, (_, edition)) in seen.into_iter().zip(&wanted) {
        let Seen::Here { visible, tip: None } = seen else { panic!("{seen:?}") };
        assert_eq!(visible.as_ref(), Some(edition));
    }
}

/// Editions that use every field.
fn rich(n: u64) -> Edition {
    let vector = (0..=n).fold(Vector::default(), |vector, n| vector.next(&Epochs::new(EpochId(u64::MAX - n))));
    let every_byte = (0..=255).cycle().take(3_000).collect::<Vec<u8>>();
    let value = Value { data: every_byte.into(), content_type: "text/plain".into() };
    Edition {
        record: n * (u64::MAX >> 1),
        seq: BEGIN - 10 + n,
        previous: n,
        revision: 1 + n * (u64::MAX >> 2),
        vector,
        value: (n != 1).then_some(value),
        writer: Writer { write_id: Uuid::now_v7(), invocation_id: "inv-€".into(), time: -1 + n as i64 * (1 << 60) },
        blind: n == 2,
        expires: (n == 0).then_some(1 << 50),
    }
}

pub(super) async fn pages(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["a", "b", "c"]).await;
    let mut entries = Vec::new();
    for key in ["a", "b", "c"] {
        let large = Move { edition: edition(1, 1_000), ..to(key, 0) };
        entries.push(vec![stage.taken(durable([large])).await]);
    }
    assert_eq!(stage.log(BEGIN, 1 << 20).await, entries);
    assert_eq!(stage.log(BEGIN, 2_900).await, entries[..2]);
    assert_eq!(stage.log(BEGIN, 0).await, entries[..1], "one entry at least");
    assert_eq!(stage.log(entries[1][0], 1 << 20).await, entries[2..]);
    assert!(stage.log(entries[2][0], 1 << 20).await.is_empty());
    stage.mark(entries[0][0]).await;
    assert_eq!(stage.log(BEGIN, 1 << 20).await, entries[1..]);
}

pub(super) async fn tickets(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    let ticket = async || stage.place.tickets(stage.shard, stage.epoch, &[at("k")]).await.unwrap().remove(0);
    let install = async |ticket: &Ticket, edition: Option<Edition>| {
        let found = [(at("k"), ticket.clone(), edition.map(Arc::new))];
        stage.place.install(stage.shard, stage.epoch, &found).await.unwrap();
    };
    let old = Edition { seq: 7, ..edition(1, 10) };
    install(&Ticket(Bytes::from_static(b"mine")), Some(old.clone())).await;
    install(&Ticket(Bytes::new()), Some(old.clone())).await;
    assert_eq!(stage.stands("k").await, None, "nobody left that ticket");
    let (first, joined) = (ticket().await, ticket().await);
    assert_eq!(first, joined, "two who fill the same do not keep each other from it");
    install(&first, Some(old.clone())).await;
    assert_eq!(stage.stands("k").await, Some((7, 0)));
    let taken = stage.taken(durable([to("k", 7)])).await;
    stage.mark(taken).await;
    install(&joined, Some(old.clone())).await;
    install(&ticket().await, Some(old.clone())).await;
    assert_eq!(stage.stands("k").await, Some((taken, 0)), "a slow fill puts back no past");
}
