//! The shared breaker in thousands of orders of its threads: the product's own source, compiled once more over a lock at
//! which shuttle chooses who goes on. A failure prints the schedule with which `shuttle::replay` repeats it.

#[path = "../../src/breaker/shared.rs"]
mod shared;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::breaker::{
    Core, Mode, Outcome, Reason, Refused, Settings, Snapshot, Standing, State, Ticket, Window,
};
use shuttle::thread::{self, JoinHandle};

use self::shared::{Breaker, Permit};
use self::sync::{Mutex, set_clock};

const OPEN: Duration = Duration::from_secs(1);
const PROBES: u32 = 2;
/// Orders that are tried of each story: at random, and with few changes between threads (which finds what needs a long wait).
const ORDERS: usize = 1_000;
const CHANGES: usize = 3;

fn in_many_orders(story: fn()) {
    shuttle::check_random(story, ORDERS);
    shuttle::check_pct(story, ORDERS, CHANGES);
}

fn settings() -> Settings {
    Settings {
        window: Window::Calls(8),
        minimum_calls: 1,
        open: OPEN,
        open_max: OPEN,
        jitter_percent: 0,
        probes: PROBES,
        ..Settings::default()
    }
}

/// Open, and its time has passed.
fn at_the_half_open_moment() -> Breaker {
    set_clock(Duration::ZERO);
    let breaker = Breaker::new(settings());
    breaker.acquire().expect("closed").failure();
    set_clock(OPEN);
    breaker
}

fn many<T: Send + 'static>(threads: usize, work: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<JoinHandle<T>> {
    let work = Arc::new(work);
    let spawn = |thread| {
        let work = Arc::clone(&work);
        thread::spawn(move || work(thread))
    };
    (0..threads).map(spawn).collect()
}

fn joined<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

#[test]
fn exactly_n_probes_pass_in_every_order_of_three_and_in_many_of_eight() {
    fn story(callers: usize) {
        let breaker = at_the_half_open_moment();
        let asked = breaker.clone();
        let answers = joined(many(callers, move |_| asked.acquire()));
        let probes: Vec<Permit> = answers.into_iter().flatten().collect();
        assert_eq!(probes.len(), PROBES as usize);
        for mut probe in probes {
            probe.begins_now();
            probe.success();
        }
        assert_eq!(breaker.snapshot().state, State::Closed);
    }
    shuttle::check_dfs(|| story(3), None);
    in_many_orders(|| story(8));
}

#[test]
fn cancelled_probes_give_their_places_back_and_never_make_more() {
    in_many_orders(|| {
        let breaker = at_the_half_open_moment();
        let (asked, under_way) = (breaker.clone(), Mutex::new(0));
        let callers = many(6, move |_| {
            let Ok(permit) = asked.acquire() else { return };
            *under_way.lock() += 1;
            assert!(*under_way.lock() <= PROBES);
            *under_way.lock() -= 1;
            drop(permit);
        });
        joined(callers);
        let probes: Vec<_> = (0..8).filter_map(|_| breaker.acquire().ok()).collect();
        assert_eq!(probes.len(), PROBES as usize);
    });
}

#[test]
fn probes_whose_callers_go_away_give_their_places_back_and_close_it_whoever_comes_meanwhile() {
    in_many_orders(|| {
        let breaker = at_the_half_open_moment();
        let (asked, orphans) = (breaker.clone(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&orphans);
        let callers = many(6, move |_| {
            let Ok(mut permit) = asked.acquire() else { return };
            assert!(permit.is_probe());
            if permit.orphan() {
                kept.lock().push(permit);
            }
        });
        joined(callers);
        let mut orphans = std::mem::take(&mut *orphans.lock());
        assert_eq!(orphans.len(), PROBES as usize);
        let probes: Vec<_> = (0..8).filter_map(|_| breaker.acquire().ok()).collect();
        assert_eq!(probes.len(), PROBES as usize);
        // One has begun to answer when it ends, the other one is whole.
        let (mut first, second) = (orphans.remove(0), orphans.remove(0));
        first.answers();
        joined(vec![thread::spawn(move || drop(first)), thread::spawn(move || second.success())]);
        drop(probes);
        assert_eq!(breaker.snapshot().state, State::Closed);
    });
}

#[test]
fn time_that_passes_while_they_ask_lets_no_further_probe_through() {
    in_many_orders(|| {
        let breaker = at_the_half_open_moment();
        set_clock(OPEN / 2);
        let asked = breaker.clone();
        let callers = many(5, move |_| {
            let told = asked.refusal();
            asked.acquire().inspect(|_| assert!(told.is_none_or(|refused| refused.state == State::Open))).ok()
        });
        let time = thread::spawn(|| {
            thread::yield_now();
            set_clock(OPEN);
        });
        let early = joined(callers);
        time.join().expect("no panic");
        let late = (0..5).map(|_| breaker.acquire().ok());
        let probes: Vec<_> = early.into_iter().chain(late).flatten().collect();
        assert_eq!(probes.len(), PROBES as usize);
    });
}

#[test]
fn the_listener_hears_every_change_once_and_in_order() {
    in_many_orders(|| {
        set_clock(Duration::ZERO);
        let heard: Arc<Mutex<Vec<Snapshot>>> = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        // Whoever writes it down may be held up.
        let breaker = Breaker::with_listener(settings(), move |snapshot| listener.lock().push(*snapshot));
        let (fails, forces) = (breaker.clone(), breaker.clone());
        let failing = many(3, move |_| {
            if let Ok(permit) = fails.acquire() {
                permit.failure();
            }
        });
        let forcing = many(2, move |which| {
            forces.set_mode([Mode::ForcedClosed, Mode::ForcedOpen][which]);
            set_clock(OPEN);
            forces.set_mode(Mode::Auto);
        });
        joined(failing);
        joined(forcing);
        let (heard, now) = (heard.lock(), breaker.snapshot());
        let generations: Vec<u64> = heard.iter().map(|snapshot| snapshot.generation).collect();
        assert_eq!(generations, (1..=now.generation).collect::<Vec<_>>());
        let last = heard.last().expect("something changed");
        assert_eq!((last.state, last.mode, last.reason), (now.state, now.mode, now.reason));
    });
}

#[test]
fn no_outcome_is_lost_and_one_outage_is_told_once() {
    const CALLERS: u32 = 5;
    in_many_orders(|| {
        set_clock(Duration::ZERO);
        let heard: Arc<Mutex<Vec<Reason>>> = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        let settings = Settings { minimum_calls: CALLERS, failure_percent: 100, ..settings() };
        let breaker = Breaker::with_listener(settings, move |snapshot| listener.lock().push(snapshot.reason));
        joined(many(CALLERS as usize, move |_| breaker.acquire().expect("closed").failure()));
        assert_eq!(*heard.lock(), [Reason::FailureRate { failures: CALLERS, calls: CALLERS }]);
    });
}

#[test]
fn a_call_from_before_the_outage_decides_nothing_whenever_it_ends() {
    in_many_orders(|| {
        set_clock(Duration::ZERO);
        let breaker = Breaker::new(settings());
        let (slow, trips) = (breaker.acquire().expect("closed"), breaker.acquire().expect("closed"));
        trips.failure();
        set_clock(OPEN);
        let slow = thread::spawn(move || slow.failure());
        let asked = breaker.clone();
        joined(many(PROBES as usize, move |_| asked.acquire().expect("a probe").success()));
        slow.join().expect("no panic");
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.failures), (State::Closed, 0));
    });
}

#[test]
fn once_an_operator_has_opened_it_nobody_passes() {
    in_many_orders(|| {
        let breaker = at_the_half_open_moment();
        let is_open = Arc::new(Mutex::new(false));
        let (operator, said) = (breaker.clone(), Arc::clone(&is_open));
        let operator = thread::spawn(move || {
            operator.set_mode(Mode::ForcedOpen);
            *said.lock() = true;
        });
        let callers = many(4, move |which| {
            let is_open = *is_open.lock();
            let asked = [breaker.acquire(), breaker.acquire_closed(), breaker.acquire_granted()];
            let passed = asked.into_iter().filter(Result::is_ok).count();
            assert!(!is_open || passed == 0, "caller {which} passed");
        });
        joined(callers);
        operator.join().expect("no panic");
    });
}

#[test]
fn what_other_breakers_say_meanwhile_breaks_no_permit() {
    in_many_orders(|| {
        let breaker = at_the_half_open_moment();
        let (asked, told) = (breaker.clone(), breaker.clone());
        let callers = many(4, move |which| {
            let granted = if which < 2 { asked.acquire_granted() } else { asked.acquire() };
            match (which % 2, granted) {
                (0, Ok(permit)) => permit.success(),
                (_, granted) => drop(granted),
            }
        });
        let others = many(2, move |which| {
            let state = [State::Closed, State::HalfOpen][which];
            told.adopt(&Standing { state, generation: 9 + which as u64, ..told.standing() })
        });
        joined(callers);
        assert!(joined(others)[1], "what is newest is taken");
        let standing = breaker.standing();
        assert!(standing.generation >= 10);
        assert!(!breaker.adopt(&Standing { generation: 9, ..standing }), "what is older is not");
    });
}
