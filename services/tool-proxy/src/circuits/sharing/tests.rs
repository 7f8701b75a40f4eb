//! Two lives of one circuit over a real Redis, each on a link of its own.

mod steps;

use holdfast_config::{Common, Document};
use holdfast_resilience::breaker::{Mode, Settings, State};
use holdfast_rpc::Channel;
use holdfast_testkit::{Fault, FaultProxy, Redis, RedisCluster, RedisSentinel};
use tokio::sync::broadcast;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::circuits::circuit::Circuit;
use crate::circuits::pass::Pass;
use crate::circuits::{Circuits, Keeper, Report, Word};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(1);

/// What a process has of a circuit.
struct Life {
    circuits: Circuits,
    circuit: Circuit,
    news: broadcast::Receiver<Report>,
    duty: JoinSet<()>,
}

fn settings(open: Duration, probes: u32) -> Settings {
    Settings { minimum_calls: 1, open, open_max: open, jitter_percent: 0, probes, ..Settings::default() }
}

impl Life {
    /// One that shares, once it has joined.
    async fn start(redis: &str, settings: Settings) -> Self {
        let text = format!("[redis]\n{redis}\ntimeout = \"5s\"\ngone_after = \"60s\"\n");
        let document = Document::parse("the test", &text, []).expect("it is TOML");
        let sharing = Sharing::new(&Common::from_document(&document).expect("it holds").redis);
        let nobody = Channel::connect("state", "http://127.0.0.1:1", None, None).expect("a URL");
        let circuits = Circuits::new(settings.clone(), Keeper::new(nobody, SHORT), sharing);
        let (circuit, news) = (circuits.guard("c", settings), circuits.watch());
        let sharing = Arc::clone(circuits.sharing.as_ref().expect("there is a Redis"));
        let mut duty = JoinSet::new();
        duty.spawn(run(Arc::clone(&sharing), Arc::clone(&circuits.known), Arc::clone(&circuits.bells.sharing)));
        let life = Self { circuits, circuit, news, duty };
        life.joins().await;
        life
    }

    async fn joins(&self) {
        let sharing = self.circuits.sharing.as_ref().expect("there is a Redis");
        while sharing.joined() == 0 {
            yield_now().await;
        }
    }

    async fn leaves(&self) {
        let sharing = self.circuits.sharing.as_ref().expect("there is a Redis");
        while sharing.joined() != 0 {
            yield_now().await;
        }
    }

    /// Leave for a call, as soon as there is any.
    async fn pass(&self) -> Pass {
        loop {
            match self.circuit.acquire(LONG).await {
                Ok(pass) => return pass,
                Err(_) => yield_now().await,
            }
        }
    }

    /// Fails until it is open.
    async fn fail(&self) {
        self.pass().await.failure();
    }

    fn state(&self) -> State {
        self.circuit.report().snapshot.state
    }

    async fn comes_to(&mut self, state: State) -> Report {
        self.comes(|report| report.snapshot.state == state).await
    }

    async fn comes(&mut self, so: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.news.recv().await.expect("few changes");
            if so(&report) {
                return report;
            }
        }
    }
}

fn at(address: std::net::SocketAddr) -> String {
    format!("url = \"redis://{address}\"")
}

#[tokio::test]
async fn an_opening_that_was_overtaken_while_its_process_was_away_does_not_count() {
    let redis = Redis::start().await;
    let link = FaultProxy::to(redis.address()).await;
    let mut away = Life::start(&at(link.address()), settings(LONG, 1)).await;
    let mut here = Life::start(&at(redis.address()), settings(SHORT, 1)).await;
    link.set(Fault::Refuse);
    away.leaves().await;
    away.fail().await;
    here.fail().await;
    here.comes_to(State::Open).await;
    here.pass().await.success();
    here.comes_to(State::Closed).await;

    assert_eq!(away.state(), State::Open, "alone");
    link.set(Fault::None);
    let closed = away.comes_to(State::Closed).await;
    assert_eq!(closed.snapshot.reason, Reason::ProbesSucceeded);
    assert!(here.news.try_recv().is_err(), "nobody heard of the old opening");
}

#[tokio::test]
async fn what_a_process_came_to_alone_counts_where_nobody_came_to_anything_else() {
    let redis = Redis::start().await;
    let link = FaultProxy::to(redis.address()).await;
    let away = Life::start(&at(link.address()), settings(LONG, 1)).await;
    let mut here = Life::start(&at(redis.address()), settings(LONG, 1)).await;
    link.set(Fault::Refuse);
    away.leaves().await;
    away.fail().await;
    link.set(Fault::None);
    assert_eq!(here.comes_to(State::Open).await.snapshot.reason, Reason::FailureRate { failures: 1, calls: 1 });
}

#[tokio::test]
async fn an_outcome_of_an_earlier_half_open_changes_nothing() {
    let redis = Redis::start().await;
    let one = Life::start(&at(redis.address()), settings(SHORT, 2)).await;
    let mut other = Life::start(&at(redis.address()), settings(SHORT, 2)).await;
    one.fail().await;
    other.comes_to(State::Open).await;
    let late = one.pass().await;
    other.comes_to(State::HalfOpen).await;
    other.fail().await;
    other.comes_to(State::Open).await;
    let first = other.pass().await;
    other.comes_to(State::HalfOpen).await;
    late.success();
    let second = other.pass().await;
    first.success();
    assert_eq!(other.state(), State::HalfOpen, "one of two has succeeded");
    second.success();
    other.comes_to(State::Closed).await;
}

#[tokio::test]
async fn a_probe_that_is_granted_just_when_another_fails_does_not_pass() {
    let redis = Redis::start().await;
    let open = Duration::from_millis(50);
    let mut one = Life::start(&at(redis.address()), settings(open, 2)).await;
    let mut other = Life::start(&at(redis.address()), settings(open, 2)).await;
    one.fail().await;
    other.comes_to(State::Open).await;
    let first = one.pass().await;
    other.comes_to(State::HalfOpen).await;
    let circuit = one.circuit.clone();
    let mut second = Box::pin(circuit.acquire(LONG));
    assert!(futures::poll!(&mut second).is_pending(), "it has asked");
    // Nobody is told of the failure before the answer comes.
    one.duty.shutdown().await;
    first.failure();
    assert!(second.await.is_err());
    assert_eq!(one.state(), State::Open, "the failure counts");
}

#[tokio::test]
async fn a_probe_that_is_given_up_is_free_for_the_others() {
    let redis = Redis::start().await;
    let one = Life::start(&at(redis.address()), settings(SHORT, 1)).await;
    let mut other = Life::start(&at(redis.address()), settings(SHORT, 1)).await;
    one.fail().await;
    other.comes_to(State::Open).await;
    let probe = one.pass().await;
    other.comes_to(State::HalfOpen).await;
    assert!(other.circuit.acquire(LONG).await.is_err());
    drop(probe);
    other.pass().await.success();
    other.comes_to(State::Closed).await;
}

#[tokio::test]
async fn a_caller_who_goes_away_while_it_asks_leaves_its_probe_to_others() {
    let redis = Redis::start().await;
    let mut one = Life::start(&at(redis.address()), settings(SHORT, 1)).await;
    one.fail().await;
    one.comes_to(State::Open).await;
    for _ in 0..20 {
        let asking = one.circuit.acquire(LONG);
        // Polled once: the question is on its way, and nobody waits for the answer.
        let asked = futures::poll!(Box::pin(asking));
        assert!(asked.is_pending() || asked.map(|asked| asked.is_err()) == std::task::Poll::Ready(true));
    }
    one.pass().await.success();
    one.comes_to(State::Closed).await;
}

#[tokio::test]
async fn of_two_words_the_later_counts_in_whatever_order_they_are_heard() {
    let redis = Redis::start().await;
    let mut lives = [
        Life::start(&at(redis.address()), settings(LONG, 1)).await,
        Life::start(&at(redis.address()), settings(LONG, 1)).await,
    ];
    let word = |mode, stamp| Word { mode, by: "ada".into(), why: String::new(), stamp };
    lives[0].circuit.inner.hear(&word(Mode::ForcedClosed, 20));
    lives[1].circuit.inner.hear(&word(Mode::ForcedOpen, 10));
    for life in &mut lives {
        if life.circuit.report().snapshot.mode != Mode::ForcedClosed {
            life.comes(|report| report.snapshot.mode == Mode::ForcedClosed).await;
        }
    }
    let mut again = Life::start(&at(redis.address()), settings(LONG, 1)).await;
    assert_eq!(again.circuit.report().snapshot.mode, Mode::ForcedClosed, "whoever comes later hears it, too");
    again.circuit.inner.hear(&word(Mode::Auto, 30));
    for life in &mut lives {
        life.comes(|report| report.snapshot.mode == Mode::Auto).await;
    }
    again.comes(|report| report.snapshot.mode == Mode::Auto).await;
}

#[tokio::test]
async fn the_master_that_a_sentinel_names_has_the_circuits() {
    let master = Redis::start().await;
    let _replica = Redis::start_replica(master.address()).await;
    let sentinel = RedisSentinel::start(&master).await;
    let url = format!("url = \"{}\"", sentinel.url());
    let (one, mut other) = (Life::start(&url, settings(LONG, 1)).await, Life::start(&url, settings(LONG, 1)).await);
    one.fail().await;
    other.comes_to(State::Open).await;
}

#[tokio::test]
async fn the_nodes_of_a_cluster_lead_to_the_one_that_has_the_circuits() {
    let mut cluster = RedisCluster::start().await;
    let nodes: Vec<_> = cluster.nodes().iter().map(Redis::url).collect();
    // Each begins at another node; one of them has the slot.
    let mut lives = Vec::new();
    for (first, _) in nodes.iter().enumerate() {
        let urls: Vec<_> = nodes.iter().cycle().skip(first).take(nodes.len()).map(|url| format!("{url:?}")).collect();
        lives.push(Life::start(&format!("url = [{}]", urls.join(", ")), settings(LONG, 1)).await);
    }
    lives[0].fail().await;
    for life in &mut lives {
        life.comes_to(State::Open).await;
    }
}
