use super::*;

fn held(stream: Option<u128>) -> Held {
    Held {
        invocation: Uuid::from_u128(7),
        agent: "a".into(),
        tenant: "t".into(),
        bytes: 1,
        worker: "w".into(),
        stream: stream.map(Uuid::from_u128),
        token: "token".into(),
        origin: Origin::Unrecorded,
    }
}

fn lease(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[test]
fn a_lease_lasts_from_its_last_renewal() {
    let mut leases = Leases::default();
    leases.begin(lease(1), held(None), Moment(10));
    assert!(leases.renew(lease(1), Moment(20)));
    assert!(leases.due(Moment(19)).is_empty());
    assert_eq!(leases.due(Moment(20)), [lease(1)]);
    assert!(leases.due(Moment(20)).is_empty(), "it comes once");
    leases.end(lease(1));
    assert!(!leases.renew(lease(1), Moment(30)));
    assert_eq!(leases.next_due(), None);
}

#[test]
fn a_broken_stream_has_its_grace() {
    let mut leases = Leases::default();
    leases.begin(lease(1), held(Some(9)), Moment(1_000));
    leases.broke(lease(9), "w".into(), Confines::To(None), Moment(50));
    assert!(leases.due(Moment(49)).is_empty());
    assert_eq!(leases.due(Moment(50)), [lease(1)]);
}

#[test]
fn an_adopted_lease_outlives_its_old_stream() {
    let mut leases = Leases::default();
    leases.begin(lease(1), held(Some(9)), Moment(1_000));
    leases.broke(lease(9), "w".into(), Confines::To(None), Moment(50));
    leases.adopt(lease(1), lease(10), Moment(2_000));
    assert!(leases.due(Moment(1_999)).is_empty());
    assert_eq!(leases.of_stream(lease(10)), [lease(1)]);
    assert!(leases.of_stream(lease(9)).is_empty());
}

#[test]
fn a_returning_worker_is_known_by_name_and_tenant() {
    let mut leases = Leases::default();
    leases.begin(lease(1), held(Some(9)), Moment(1_000));
    leases.broke(lease(9), "w".into(), Confines::To(Some("t".into())), Moment(50));
    assert!(leases.returned("w", None).is_empty());
    assert!(leases.returned("v", Some("t")).is_empty());
    assert_eq!(leases.returned("w", Some("t")), [lease(9)]);
}

#[test]
fn a_lease_that_is_being_freed_is_not_renewed() {
    let mut leases = Leases::default();
    leases.begin(lease(1), held(Some(9)), Moment(10));
    leases.begin(lease(2), held(Some(9)), Moment(1_000));
    leases.broke(lease(9), "w".into(), Confines::To(None), Moment(50));
    assert_eq!(leases.due(Moment(10)), [lease(1)]);
    assert!(!leases.renew(lease(1), Moment(500)));
    assert_eq!(leases.due(Moment(50)), [lease(2)], "the store is asked once for each");
    leases.keep(lease(1), Moment(60));
    assert_eq!(leases.next_due(), Some(Moment(60)), "it comes up again");
    assert!(leases.renew(lease(1), Moment(70)));
    leases.keep(lease(1), Moment(1));
    assert_eq!(leases.next_due(), Some(Moment(70)), "only what was being freed is kept");
    leases.adopt(lease(2), lease(10), Moment(80));
    assert!(leases.renew(lease(2), Moment(90)), "its new stream has it");
}
