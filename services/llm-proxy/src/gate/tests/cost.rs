//! What a call costs at the gate. Run by hand, in a release build: it measures time.

use super::*;

const CALLS: u32 = 100_000;

async fn calls(gate: &Gate) -> Duration {
    let start = std::time::Instant::now();
    for _ in 0..CALLS {
        let mut place = gate.enter(want(), None).await.expect("it is free");
        place.dispatch(NEED);
        let arrival = place.arrival();
        arrival.sent();
        arrival.answered();
        place.taken();
        place.finish(Some(Usage { input_tokens: 1, output_tokens: 0 }));
    }
    start.elapsed() / CALLS
}

#[tokio::test]
#[ignore = "it measures time"]
async fn a_call_costs_microseconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let own = ModelLimits {
        requests_per_minute: Some(10_000_000),
        tokens_per_minute: Some(100_000_000),
        concurrency: Some(1_000),
        ..ModelLimits::default()
    };
    let large = Limits { own, ..concurrency(1) };
    let none = Limits { own: ModelLimits::default(), ..concurrency(1) };
    for (what, limits, keys) in
        [("no limits", &none, 1), ("limits", &large, 1), ("limits of four keys", &large, 4), ("of forty", &large, 40)]
    {
        let names: Vec<_> = (0..keys).map(|number| format!("{what}{number}")).collect();
        let keys: Vec<_> = names.iter().map(|name| (name.as_str(), limits)).collect();
        let gate = open(directory.path(), &keys);
        gate.lane("m");
        eprintln!("{what}: {:?}", calls(&gate).await);
    }
}

#[tokio::test]
#[ignore = "it measures time"]
async fn a_turn_costs_microseconds_however_many_wait() {
    for waiting in [10_usize, 10_000] {
        let directory = tempfile::tempdir().expect("a directory");
        let order = (Bounds { calls: 20_000, bytes: 100_000 }, Duration::from_secs(10));
        let keys = (0..4).map(|number| (number.to_string(), concurrency(5))).collect();
        let gate =
            Gate::open(directory.path(), "p", keys, order, None, Clock::start(), Gauges::new("p")).expect("it opens");
        let gate = Arc::new(gate);
        gate.lane("m");
        let (sender, mut places) = tokio::sync::mpsc::unbounded_channel();
        let turns = 5_000;
        for number in 0..waiting + turns as usize {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            let tenant = Arc::from((number % 50).to_string());
            let place = async move { sender.send(gate.enter(Want { tenant, ..want() }, None).await.expect("in time")) };
            tokio::spawn(place);
        }
        while gate.in_line() < waiting {
            tokio::task::yield_now().await;
        }
        let start = std::time::Instant::now();
        for _ in 0..turns {
            places.recv().await.expect("somebody's turn").finish(Some(Usage::default()));
        }
        eprintln!("{waiting} in line: {:?} for each", start.elapsed() / turns);
    }
}
