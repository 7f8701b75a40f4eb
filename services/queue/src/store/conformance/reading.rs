use super::*;
use crate::domain::event::{Report, What};
use crate::domain::record::Phase;
use crate::store::{Filter, Gone, Keep, Tell, Window};

const KEEP: Keep = Keep { items: 10, bytes: 1_000 };

fn window(events: usize) -> Window {
    Window { events, bytes: 1 << 20 }
}

async fn tell(store: &Port, id: Uuid, lease: Uuid, bytes: usize) -> Result<u64, Gone> {
    let report = Report::Chunk { attempt: 1, data: vec![1; bytes].into() };
    match one(store, Command::Tell(Box::new(Tell { id, lease, now: NOW, report, keep: KEEP }))).await {
        Answer::Told(told) => told,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn lists_are_filtered_and_paged(store: Port) {
    let mut ids = Vec::new();
    for n in 0..6 {
        let agent = if n % 2 == 0 { "even" } else { "odd" };
        let accepted = Accepted { agent: agent.into(), ..in_session(&n.to_string()) };
        accept(&store, &accepted).await;
        ids.push(accepted.id);
    }
    ids.reverse();
    let lease = leased(&store, ids[0]).await;
    settle(&store, ids[0], complete(lease)).await;
    leased(&store, ids[1]).await;
    let list = async |filter: Filter| -> Vec<Uuid> {
        let filter = Filter { limit: if filter.limit == 0 { 100 } else { filter.limit }, ..filter };
        store.list(filter).await.unwrap().into_iter().map(|record| record.accepted.id).collect()
    };
    assert_eq!(list(Filter::default()).await, ids);
    assert_eq!(list(Filter { agent: Some("even".into()), ..Filter::default() }).await, [ids[1], ids[3], ids[5]]);
    assert_eq!(list(Filter { session: Some("2".into()), ..Filter::default() }).await, [ids[3]]);
    assert_eq!(list(Filter { statuses: vec![Status::Succeeded], ..Filter::default() }).await, [ids[0]]);
    let unfinished = vec![Status::Queued, Status::Leased];
    assert_eq!(list(Filter { statuses: unfinished, ..Filter::default() }).await, ids[1..]);
    assert!(list(Filter { tenant: Some("u".into()), ..Filter::default() }).await.is_empty());

    let page = store.list(Filter { limit: 2, ..Filter::default() }).await.unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(list(Filter { beyond: Some(page[1].accepted.id), ..Filter::default() }).await, ids[2..]);
}

pub(crate) async fn events_follow_from_what_happened(store: Port) {
    let id = accept_new(&store).await;
    let released = leased(&store, id).await;
    settle(&store, id, Change::Release { lease: released }).await;
    let failed = leased(&store, id).await;
    settle(&store, id, fail(failed)).await;
    let completed = leased(&store, id).await;
    let running = store.history(id, None, 0, window(100)).await.unwrap().unwrap();
    assert!(!running.ended);
    settle(&store, id, complete(completed)).await;
    let history = store.history(id, None, 0, window(100)).await.unwrap().unwrap();
    assert!(history.ended);
    assert_eq!(history.events[..running.events.len()], running.events, "what was seen stays");
    let seen: Vec<_> = history
        .events
        .iter()
        .map(|event| match &event.what {
            What::Status { status, attempt, failure } => (event.offset, *status, *attempt, failure.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (1, Status::Queued, 0, false),
        (2, Status::Leased, 1, false),
        (3, Status::Queued, 0, false),
        (4, Status::Leased, 1, false),
        (5, Status::Queued, 1, true),
        (6, Status::Leased, 2, false),
        (7, Status::Succeeded, 2, false),
    ];
    assert_eq!(seen, expected);
    let cut = store.history(id, None, 3, window(2)).await.unwrap().unwrap();
    assert_eq!((&cut.events[..], cut.ended), (&history.events[2..4], false));
}

pub(crate) async fn reports_share_the_count_of_events_and_are_bounded(store: Port) {
    let id = accept_new(&store).await;
    let lease = leased(&store, id).await;
    assert_eq!(tell(&store, id, lease, 10).await, Ok(3));
    assert_eq!(tell(&store, id, Uuid::now_v7(), 10).await, Err(Gone::LeaseLost));
    assert_eq!(tell(&store, Uuid::now_v7(), lease, 10).await, Err(Gone::Unknown));
    for _ in 0..200 {
        tell(&store, id, lease, 10).await.unwrap();
    }
    let chunks = store.history(id, None, 3, window(1_000)).await.unwrap().unwrap().events;
    assert!((10..10 + 32).contains(&chunks.len()), "{}", chunks.len());
    assert_eq!(chunks.last().unwrap().offset, 203, "the newest are kept");
    for _ in 0..3 {
        tell(&store, id, lease, 400).await.unwrap();
    }
    let large = store.history(id, None, 204, window(1_000)).await.unwrap().unwrap().events;
    assert_eq!(large.len(), 2, "bytes are bounded too");
    settle(&store, id, complete(lease)).await;
    let last = store.history(id, None, 207, window(10)).await.unwrap().unwrap();
    assert_eq!((last.events.len(), last.ended), (1, true));
}

pub(crate) async fn a_window_bounds_events_and_bytes(store: Port) {
    let id = accept_new(&store).await;
    let lease = leased(&store, id).await;
    for bytes in [10, 10, 10, 400, 10] {
        tell(&store, id, lease, bytes).await.unwrap();
    }
    settle(&store, id, complete(lease)).await;
    let read = async |from, window| -> (Vec<u64>, bool, bool) {
        let history = store.history(id, None, from, window).await.unwrap().unwrap();
        (history.events.iter().map(|event| event.offset).collect(), history.more, history.ended)
    };
    let small = Window { events: 100, bytes: 25 };
    assert_eq!(read(1, small).await, (vec![1, 2, 3, 4], true, false), "what does not fit comes later");
    assert_eq!(read(5, small).await, (vec![5], true, false));
    assert_eq!(read(6, small).await, (vec![6], true, false), "one comes, however large");
    assert_eq!(read(7, small).await, (vec![7, 8], false, true));
    assert_eq!(read(3, Window { events: 2, ..window(0) }).await, (vec![3, 4], true, false));
    assert_eq!(read(9, small).await, (Vec::new(), false, true));
}

pub(crate) async fn what_has_not_ended_is_found_at_a_start(store: Port) {
    let waiting = Accepted { deadline: Some(NOW + 99), priority: 3, ..in_session("s") };
    accept(&store, &waiting).await;
    let running = accept_new(&store).await;
    let lease = leased(&store, running).await;
    let delayed = Accepted { not_before: Some(NOW + 50), ..accepted() };
    accept(&store, &delayed).await;
    let over = accept_new(&store).await;
    settle(&store, over, cancel()).await;

    let found = store.waiting().await.unwrap();
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [waiting.id, running, delayed.id]);
    let first = &found[0];
    assert_eq!((first.priority, first.deadline, first.bytes), (3, Some(NOW + 99), 5));
    assert_eq!((first.session.as_deref(), first.place.map(|place| place.order)), (Some("s"), Some(1)));
    assert_eq!((first.tenant.as_str(), first.agent.as_str(), first.accepted_at), ("t", "a", NOW));
    let Phase::Leased(held) = &found[1].phase else { panic!("it runs") };
    assert_eq!((held.id, held.stream, &*held.worker, found[1].attempt), (lease, stream(), "w", 1));
    assert_eq!(found[2].phase, Phase::Queued { next_at: Some(NOW + 50) });
}

pub(crate) async fn nothing_is_read_across_tenants(store: Port) {
    let id = accept_new(&store).await;
    let theirs = Some("u".to_owned());
    assert_eq!(store.get(id, theirs.clone(), true).await.unwrap(), None);
    assert!(store.history(id, theirs, 0, window(10)).await.unwrap().is_none());
    let own = Some("t".to_owned());
    assert!(store.get(id, own.clone(), true).await.unwrap().is_some());
    assert!(store.history(id, own, 0, window(10)).await.unwrap().is_some());
}
