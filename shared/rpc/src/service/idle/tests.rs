use std::io::{Read as _, Write as _};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::io::Socket;

const MAX: Duration = Duration::from_micros(300);

/// A thread whose clock and whose bytes the test moves.
struct Played {
    idle: Idle,
    now: Instant,
    stirs: u64,
}

impl Played {
    fn new() -> Self {
        let now = Instant::now();
        Self { idle: Idle::new(MAX, BRISK, now), now, stirs: 0 }
    }

    fn pass(&mut self, micros: u64) {
        self.now += Duration::from_micros(micros);
    }

    /// Bytes come, and are worked on for so long.
    fn work(&mut self, micros: u64) {
        self.stirs += 1;
        self.pass(micros);
    }

    fn looks_on(&mut self) -> bool {
        self.idle.looks_on(self.now, self.stirs)
    }

    /// How long it looks, by a microsecond a look, until it sleeps.
    fn looks_for(&mut self) -> u64 {
        let mut micros = 0;
        while self.looks_on() {
            self.idle.goes_on(self.now);
            self.pass(1);
            micros += 1;
        }
        micros
    }

    /// Sleeps until so long after its work, then works again for as long as that.
    fn wait_and_work(&mut self, wait: u64, work: u64) {
        let looked = self.looks_for();
        self.pass(wait.saturating_sub(looked));
        self.idle.goes_on(self.now);
        self.work(work);
    }

    /// One that has learnt that what is next comes soon.
    fn busy() -> Self {
        let mut played = Self::new();
        for _ in 0..10 {
            played.wait_and_work(299, 30);
        }
        played
    }
}

#[test]
fn a_thread_that_has_not_learnt_anything_sleeps_at_once() {
    let mut played = Played::new();
    played.work(30);
    assert_eq!(played.looks_for(), 0);
}

#[test]
fn short_waits_teach_a_thread_to_look() {
    assert_eq!(Played::busy().looks_for(), 300);
}

#[test]
fn a_long_sleep_ends_the_looking() {
    let mut played = Played::busy();
    played.wait_and_work(10_000, 30);
    assert_eq!(played.looks_for(), 0);
}

#[test]
fn what_is_found_while_looking_keeps_the_window() {
    let mut played = Played::busy();
    for _ in 0..5 {
        for _ in 0..50 {
            assert!(played.looks_on());
            played.idle.goes_on(played.now);
            played.pass(1);
        }
        played.work(30);
    }
    assert_eq!(played.looks_for(), 300);
}

#[test]
fn who_had_much_to_do_does_not_look() {
    let mut played = Played::busy();
    played.wait_and_work(50, 101);
    assert_eq!(played.looks_for(), 0);
}

#[test]
fn who_was_woken_for_nothing_does_not_look() {
    let mut played = Played::busy();
    let looked = played.looks_for();
    assert_eq!(looked, 300);
    played.idle.goes_on(played.now);
    assert!(!played.looks_on());
}

/// How often the thread of a runtime sleeps while somebody asks it a hundred times, each time after its last answer.
fn sleeps(busy_poll: Duration) -> u64 {
    const ASKED: u64 = 100;
    let runtime = runtime_of(busy_poll, Duration::MAX).expect("the system gives what a runtime needs");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let asking = std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).expect("it listens");
            for _ in 0..ASKED {
                stream.write_all(&[1]).expect("it reads");
                stream.read_exact(&mut [0]).expect("it answers");
            }
        });
        let (stream, _) = listener.accept().await.expect("it connects");
        let mut socket = Socket::new(stream).expect("it is a socket");
        let slept = tokio::runtime::Handle::current().metrics();
        let before = slept.worker_park_unpark_count(0);
        for _ in 0..ASKED {
            let mut byte = [0];
            socket.read_exact(&mut byte).await.expect("it asks");
            socket.write_all(&byte).await.expect("it reads");
        }
        let after = slept.worker_park_unpark_count(0);
        assert_eq!(socket.read(&mut [0]).await.expect("it closes"), 0, "it has its last answer");
        asking.join().expect("it does not panic");
        // Counted when it goes to sleep, and when it wakes.
        (after - before) / 2
    })
}

#[test]
fn a_runtime_that_looks_does_not_sleep_between_close_calls() {
    // The window doubles at each sleep: from ten microseconds, twenty make it ten seconds.
    assert!(sleeps(Duration::from_secs(10)) <= 22);
}
