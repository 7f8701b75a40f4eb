use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::domain::record::Standing;
use crate::domain::schedule::Place;

pub(crate) async fn an_accepted_invocation_is_found_as_it_was_asked(store: Port) {
    let asked = Accepted {
        session: Some("s".into()),
        idempotency_key: Some("k".into()),
        priority: -7,
        not_before: Some(NOW + 5),
        deadline: Some(NOW + 9),
        labels: BTreeMap::from([("team".into(), "risk".into())]),
        parent: Some(Uuid::now_v7()),
        traceparent: "00-trace".into(),
        retry: RetryPolicy { final_reasons: vec!["NO".into()], ..accepted().retry },
        ..accepted()
    };
    accept(&store, &asked).await;
    let found = store.get(asked.id, None, true).await.unwrap().expect("it is there");
    assert_eq!(*found.accepted, asked);
    assert_eq!(found.payload, Some(payload("input")));
    let Standing::Live(live) = found.standing else { panic!("it waits") };
    assert_eq!((live.attempt, live.events, live.fence), (0, 1, 0));
    assert_eq!(store.get(Uuid::now_v7(), None, true).await.unwrap(), None);
}

pub(crate) async fn places_rise_and_sessions_count_for_themselves(store: Port) {
    let mut last = 0;
    let mut place = async |accepted: Accepted| match accept(&store, &accepted).await {
        Acceptance::Created { seq, place, .. } => {
            assert!(seq > last);
            last = seq;
            place
        }
        other => panic!("{other:?}"),
    };
    let first = place(in_session("s")).await.unwrap();
    let lone = place(accepted()).await;
    let second = place(in_session("s")).await.unwrap();
    let other = place(in_session("other")).await.unwrap();
    let foreign = place(Accepted { tenant: "u".into(), ..in_session("s") }).await.unwrap();
    assert_eq!(lone, None);
    assert_eq!((first.order, second), (1, Place { session: first.session, order: 2 }));
    assert_eq!((other.order, foreign.order), (1, 1));
    assert!(other.session != first.session && foreign.session != first.session);
}

pub(crate) async fn a_key_is_scoped_and_compared_by_digest(store: Port) {
    let first = Accepted { idempotency_key: Some("k".into()), ..accepted() };
    accept(&store, &first).await;
    let repeat = Accepted { id: Uuid::now_v7(), ..first.clone() };
    assert_eq!(accept(&store, &repeat).await, Acceptance::Existing { id: first.id, same: true });
    assert_eq!(store.get(repeat.id, None, false).await.unwrap(), None, "the repeat left nothing");

    let other = Accept {
        accepted: Arc::new(repeat.clone()),
        payload: payload("other"),
        digest: Some([8; 32]),
        awaited: false,
        keys_since: 0,
    };
    match one(&store, Command::Accept(Box::new(other))).await {
        Answer::Accepted(Acceptance::Existing { id, same: false }) => assert_eq!(id, first.id),
        answer => panic!("{answer:?}"),
    }
    for apart in [Accepted { tenant: "u".into(), ..repeat.clone() }, Accepted { agent: "b".into(), ..repeat.clone() }] {
        let apart = Accepted { id: Uuid::now_v7(), ..apart };
        assert!(matches!(accept(&store, &apart).await, Acceptance::Created { .. }));
    }
    let found = store.by_key("t".into(), "a".into(), "k".into(), [7; 32], 0).await.unwrap();
    assert_eq!(found, Some((first.id, true)));
    assert_eq!(store.by_key("t".into(), "a".into(), "x".into(), [7; 32], 0).await.unwrap(), None);
}

pub(crate) async fn a_repeat_raises_no_counter(store: Port) {
    let first = Accepted { idempotency_key: Some("k".into()), ..in_session("s") };
    accept(&store, &first).await;
    accept(&store, &Accepted { id: Uuid::now_v7(), ..first }).await;
    match accept(&store, &in_session("s")).await {
        Acceptance::Created { place: Some(place), .. } => assert_eq!(place.order, 2),
        other => panic!("{other:?}"),
    }
}
