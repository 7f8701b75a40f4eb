use super::*;

fn scope() -> FenceScope {
    FenceScope { tenant: "acme".into(), name: "session:s".into() }
}

fn holder(number: u64, lease: &str) -> Holder {
    Holder { scope: scope(), number, lease: lease.into() }
}

/// The store knows nothing of it.
fn read(fences: &Fences, scope: &FenceScope) {
    fences.install(scope, fences.ticket(scope), None);
}

#[test]
fn a_slow_read_brings_no_fallen_fence_back() {
    let fences = Fences::new(1, 0);
    let ticket = fences.ticket(&scope());
    read(&fences, &scope());
    let _waits = fences.raise(&scope(), 9);
    fences.release(fences.take());
    // Others come until the raised fence is forgotten.
    for n in 0.. {
        if matches!(fences.check(&holder(5, "a")), Check::Load) {
            break;
        }
        read(&fences, &FenceScope { tenant: "acme".into(), name: format!("session:{n}").into() });
    }
    fences.install(&scope(), ticket, None);
    assert!(matches!(fences.check(&holder(5, "a")), Check::Load), "what was read before the raise is not installed");
}

fn registered(number: u64, lease: &str) -> Fences {
    let fences = Fences::new(100, 0);
    read(&fences, &scope());
    assert!(matches!(fences.register(&holder(number, lease)), Change::Pending(_)));
    fences.release(fences.take());
    fences
}

#[test]
fn a_fence_counts_only_once_it_is_stored() {
    let fences = Fences::new(100, 0);
    assert!(matches!(fences.check(&holder(5, "a")), Check::Load));
    read(&fences, &scope());
    assert!(matches!(fences.check(&holder(5, "a")), Check::Register));
    let Change::Pending(mut stored) = fences.register(&holder(5, "a")) else { panic!("it is new") };
    assert!(matches!(fences.check(&holder(5, "a")), Check::Register), "not stored yet");
    assert!(stored.try_recv().is_err());
    fences.release(fences.take());
    assert!(stored.try_recv().is_ok());
    assert!(matches!(fences.check(&holder(5, "a")), Check::Holds(_)));
}

#[test]
fn a_raise_refuses_at_once_and_survives_a_failed_flush() {
    let fences = registered(5, "a");
    let Change::Pending(_waits) = fences.raise(&scope(), 5) else { panic!("it ends the lease") };
    assert!(matches!(fences.check(&holder(5, "a")), Check::Refused(Standing::Superseded)));
    drop(fences.take());
    assert!(matches!(fences.check(&holder(5, "a")), Check::Refused(Standing::Superseded)));
    assert!(matches!(fences.raise(&scope(), 5), Change::Pending(_)), "it is not stored yet");
    fences.release(fences.take());
    assert!(matches!(fences.raise(&scope(), 5), Change::Done));
}

#[test]
fn tokens_below_the_floor_are_refused_though_forgotten() {
    let fences = registered(5, "a");
    assert_eq!(fences.raise_floor(6), 6);
    assert_eq!(fences.raise_floor(3), 6, "it never falls");
    assert!(matches!(fences.check(&holder(5, "a")), Check::Refused(Standing::TooOld)));
}

#[test]
fn memory_is_bounded_and_forgets_nothing_unstored() {
    let fences = Fences::new(16, 0);
    read(&fences, &scope());
    let _waits = fences.register(&holder(5, "a"));
    for n in 0..1_000 {
        read(&fences, &FenceScope { tenant: "acme".into(), name: format!("session:{n}").into() });
    }
    let known: usize = fences.stripes.iter().map(|stripe| stripe.read().known.len()).sum();
    assert!(known <= 3 * STRIPES, "{known} are remembered");
    assert!(!matches!(fences.register(&holder(5, "a")), Change::Load));
}
