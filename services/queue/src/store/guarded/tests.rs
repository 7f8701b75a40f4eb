mod circuits;

use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_storage::Class;
use tokio::sync::mpsc;

use super::*;
use crate::store::{Answer, Litter, Redrives};

const PATIENCE: Duration = Duration::from_millis(250);
const OPEN: Duration = Duration::from_millis(100);

/// A store that answers when the test says so.
#[derive(Clone, Default)]
struct Puppet(Arc<Strings>);

#[derive(Default)]
struct Strings {
    taken: Mutex<Vec<Slot>>,
    reads: AtomicUsize,
    /// What a read comes to; it hangs without.
    read: Mutex<Option<Result<(), Failure>>>,
}

impl Puppet {
    async fn read<R>(&self, found: R) -> Result<R, Failure> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.read.lock().clone();
        match answer {
            Some(answer) => answer.map(|()| found),
            None => std::future::pending().await,
        }
    }
}

impl Store<Slot> for Puppet {
    fn submit(&self, commands: Vec<(Slot, Command)>) -> Result<(), (Vec<(Slot, Command)>, Failure)> {
        self.0.taken.lock().extend(commands.into_iter().map(|(slot, _)| slot));
        Ok(())
    }

    fn get(&self, _: Uuid, _: Option<String>, _: bool) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        self.read(None).boxed()
    }

    fn list(&self, _: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        self.read(Vec::new()).boxed()
    }

    fn redriven_by(&self, _: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, Failure>> {
        self.read(Vec::new()).boxed()
    }

    fn history(
        &self,
        _: Uuid,
        _: Option<String>,
        _: u64,
        _: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        self.read(None).boxed()
    }

    fn by_key(
        &self,
        _: Arc<str>,
        _: Arc<str>,
        _: String,
        _: [u8; 32],
        _: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        self.read(None).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        self.read(Vec::new()).boxed()
    }

    fn raises(&self, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        self.read(Vec::new()).boxed()
    }

    fn sweep(&self, _: Sweep) -> BoxFuture<'_, Result<Swept, Failure>> {
        self.read(Swept::default()).boxed()
    }
}

/// A command's number, and who is told when it takes too long.
struct Numbered(u32, mpsc::UnboundedSender<(u32, Failure)>);

impl GiveUp for Numbered {
    fn give_up(&mut self, failure: &Failure) {
        self.1.send((self.0, failure.clone())).unwrap();
    }
}

struct Bench {
    store: Guarded<Puppet, Numbered>,
    puppet: Puppet,
    deliver: Box<dyn FnMut(Batch<Slot>) + Send>,
    delivered: Arc<Mutex<Vec<(u32, bool)>>>,
    tell: mpsc::UnboundedSender<(u32, Failure)>,
    given_up: mpsc::UnboundedReceiver<(u32, Failure)>,
}

impl Bench {
    fn start() -> Self {
        let settings = Settings { jitter_percent: 0, open: OPEN, open_max: 4 * OPEN, ..settings() };
        let guard = Guard::new(&settings, PATIENCE);
        let delivered: Arc<Mutex<Vec<(u32, bool)>>> = Arc::default();
        let seen = Arc::clone(&delivered);
        let deliver = guard.deliver(move |batch| {
            seen.lock().extend(batch.answers.iter().map(|(tag, answer): &(Numbered, _)| (tag.0, answer.is_ok())));
        });
        let puppet = Puppet::default();
        let (tell, given_up) = mpsc::unbounded_channel();
        let store = guard.over(puppet.clone());
        Self { store, puppet, deliver: Box::new(deliver), delivered, tell, given_up }
    }

    fn submit(&self, numbers: &[u32]) -> Result<(), Failure> {
        let tag = |number: &u32| (Numbered(*number, self.tell.clone()), Command::ForgetRaises(Vec::new()));
        self.store.submit(numbers.iter().map(tag).collect()).map_err(|(_, failure)| failure)
    }

    /// The store answers everything that it has, as one batch.
    fn answer(&mut self, answer: &Result<(), Failure>) {
        let slots = std::mem::take(&mut *self.puppet.0.taken.lock());
        let answers = slots.into_iter().map(|slot| (slot, answer.clone().map(|()| Answer::Forgotten))).collect();
        (self.deliver)(Batch { answers, took: Duration::ZERO });
    }

    /// Fails as often as it takes.
    fn open(&mut self) {
        for _ in 0..3 {
            self.submit(&[0]).unwrap();
            self.answer(&full());
        }
        self.delivered.lock().clear();
    }

    async fn read(&self) -> Result<(), Failure> {
        self.store.get(Uuid::nil(), None, false).await.map(|_| ())
    }

    async fn sweep(&self) -> Result<(), Failure> {
        let sweep = Sweep { litter: Litter::Keys, now: 0, before: 0, from: None, limit: 1 };
        self.store.sweep(sweep).await.map(|_| ())
    }

    async fn list(&self) -> Result<(), Failure> {
        self.store.list(Filter::default()).await.map(|_| ())
    }
}

fn full() -> Result<(), Failure> {
    Err(Failure::new(Class::Full, "no space left"))
}

#[tokio::test]
async fn a_store_that_fails_is_left_alone_for_as_long_as_the_refusal_says() {
    let mut bench = Bench::start();
    bench.open();
    let refused = bench.submit(&[1]).unwrap_err();
    assert_eq!(refused.class(), Class::Full, "it says what the trouble is");
    assert!(!refused.may_have_happened());
    let later = bench.submit(&[1]).unwrap_err().retry_after().unwrap();
    assert!(later < refused.retry_after().unwrap() && later < OPEN, "what is left: {later:?}");
    assert!(bench.puppet.0.taken.lock().is_empty(), "the store is not touched");
    tokio::time::sleep(later).await;
    bench.submit(&[1]).expect("who comes back when told is a probe");
}

#[tokio::test]
async fn exactly_the_probes_pass_and_their_success_closes() {
    let mut bench = Bench::start();
    bench.open();
    tokio::time::sleep(OPEN).await;
    let passed: Vec<bool> = (0..5).map(|number| bench.submit(&[number, 10 + number]).is_ok()).collect();
    assert_eq!(passed, [true, true, true, false, false], "a submission is one call, however much it carries");
    bench.answer(&Ok(()));
    for number in 0..20 {
        bench.submit(&[number]).expect("it is closed");
    }
}

#[tokio::test]
async fn a_probe_that_fails_opens_for_longer() {
    let mut bench = Bench::start();
    bench.open();
    tokio::time::sleep(OPEN).await;
    bench.submit(&[1]).unwrap();
    bench.answer(&full());
    assert!(bench.submit(&[2]).unwrap_err().retry_after() > Some(OPEN));
}

#[tokio::test]
async fn a_batch_that_fails_counts_once_and_a_refused_statement_not_at_all() {
    let mut bench = Bench::start();
    for number in 0..10 {
        bench.submit(&[number]).unwrap();
    }
    bench.answer(&full());
    for number in 0..10 {
        bench.submit(&[number]).expect("one broken connection is not an outage");
        bench.answer(&Err(Failure::new(Class::Statement, "a constraint")));
    }
}

#[tokio::test]
async fn who_waits_too_long_is_answered_and_the_answer_of_the_store_still_comes() {
    let mut bench = Bench::start();
    let begun = Instant::now();
    bench.submit(&[1, 2]).unwrap();
    bench.submit(&[3]).unwrap();
    for expected in [1, 2, 3] {
        let (number, failure) = bench.given_up.recv().await.unwrap();
        assert_eq!(number, expected);
        assert_eq!((failure.class(), failure.may_have_happened()), (Class::Silent, true));
    }
    assert!(begun.elapsed() >= PATIENCE);
    assert!(bench.delivered.lock().is_empty());
    bench.answer(&Ok(()));
    assert_eq!(*bench.delivered.lock(), [(1, true), (2, true), (3, true)], "in the order of commits");
}

#[tokio::test]
async fn who_waits_too_long_is_answered_once_however_many_were_answered_before() {
    let mut bench = Bench::start();
    for _ in 0..100 {
        bench.submit(&[0]).unwrap();
        bench.answer(&Ok(()));
    }
    for number in [1, 2] {
        bench.submit(&[number]).unwrap();
        assert_eq!(bench.given_up.recv().await.unwrap().0, number);
    }
}

#[tokio::test]
async fn silence_opens_the_circuit_and_an_answer_from_before_does_not_close_it() {
    let mut bench = Bench::start();
    for number in 0..3 {
        bench.submit(&[number]).unwrap();
        bench.given_up.recv().await.unwrap();
    }
    assert_eq!(bench.submit(&[4]).unwrap_err().class(), Class::Silent);
    bench.answer(&Ok(()));
    let refused = bench.submit(&[5]).expect_err("what was asked before the outage says nothing of now");
    tokio::time::sleep(refused.retry_after().unwrap()).await;
    bench.submit(&[6]).expect("the open time is over");
}
