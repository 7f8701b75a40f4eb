//! The breaker shared by many at once.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use holdfast_resilience::breaker::State;
use holdfast_resilience::{Breaker, Settings};

fn settings() -> Settings {
    Settings { minimum_calls: 1, open: Duration::from_millis(5), jitter_percent: 0, probes: 3, ..Settings::default() }
}

/// Trips the breaker, and returns once its open time has passed.
fn at_the_half_open_moment(breaker: &Breaker) {
    breaker.acquire().expect("closed").failure();
    assert_eq!(breaker.snapshot().state, State::Open);
    while !breaker.snapshot().retry_after.is_zero() {
        thread::yield_now();
    }
}

#[test]
fn exactly_n_probes_pass_however_many_ask_at_once() {
    let breaker = Breaker::new(settings());
    at_the_half_open_moment(&breaker);
    let start = Arc::new(Barrier::new(64));
    let threads: Vec<_> = (0..64)
        .map(|_| {
            let (breaker, start) = (breaker.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                breaker.acquire().ok()
            })
        })
        .collect();
    let permits: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect();
    assert_eq!(permits.len(), 3);
    permits.into_iter().for_each(|permit| permit.success());
    assert_eq!(breaker.snapshot().state, State::Closed);
}

#[test]
fn a_dropped_probe_frees_its_place_and_counts_for_nothing() {
    let breaker = Breaker::new(settings());
    at_the_half_open_moment(&breaker);
    let permits: Vec<_> = (0..3).map(|_| breaker.acquire().expect("a probe")).collect();
    assert!(breaker.acquire().is_err());
    drop(permits);
    assert_eq!(breaker.snapshot().state, State::HalfOpen);
    breaker.acquire().expect("its place is free again").success();
}

#[test]
fn a_call_from_before_the_outage_closes_nothing() {
    let breaker = Breaker::new(settings());
    let slow = breaker.acquire().expect("closed");
    at_the_half_open_moment(&breaker);
    let probe = breaker.acquire().expect("a probe");
    slow.failure();
    assert_eq!(breaker.snapshot().state, State::HalfOpen);
    probe.failure();
    assert_eq!(breaker.snapshot().state, State::Open);
}

#[test]
fn every_change_is_told_in_order_with_its_reason() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let breaker = Breaker::with_listener(settings(), move |snapshot| {
        let line = format!("{:?}: {}", snapshot.state, snapshot.reason);
        listener.lock().expect("no panic").push(line);
    });
    at_the_half_open_moment(&breaker);
    (0..3).for_each(|_| breaker.acquire().expect("a probe").success());
    let told = told.lock().expect("no panic").clone();
    assert_eq!(
        told,
        ["Open: 1 of 1 calls failed", "HalfOpen: the open time has passed", "Closed: every probe succeeded"]
    );
}
