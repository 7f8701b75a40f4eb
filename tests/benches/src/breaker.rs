//! What a circuit breaker costs: its decision by itself, and the answers of a tool-proxy whose circuit is open.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use holdfast_config::Peer;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse, Outcome, tool_service_client::ToolServiceClient};
use holdfast_resilience::{Breaker, Mode, Settings, Window};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures,
    echo::Baseline,
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    mesh,
};

/// No decision may take longer: it stands before every call.
const BOUND_US: f64 = 1.0;
/// Decisions measured together: so many that reading the clock does not count, and so few that not every hundredth batch is
/// one in which something else had the processor.
const BATCH: u32 = 100;
const BATCHES: usize = 20_000;
/// Threads that share one breaker.
const SHARED_BY: usize = 4;
/// A tool behind whose address nobody listens; see `bench.toml`.
const TOOL: &str = "unreachable";

pub(crate) async fn bench() -> Figures {
    let mut figures = Figures::new();
    let decision = tokio::task::spawn_blocking(decisions).await.expect("no decision panics");
    figures.extend(decision);
    open_circuit(&mut figures).await;
    figures
}

fn decisions() -> Figures {
    let time = Breaker::new(Settings::default());
    let calls = Breaker::new(Settings { window: Window::Calls(1_000), ..Settings::default() });
    let slow = Settings { slow_call: Some(Duration::from_secs(1)), ..Settings::default() };
    let slow = Breaker::with_listener(slow, |_| {});
    let open = Breaker::new(Settings::default());
    open.set_mode(Mode::ForcedOpen);
    let alone = [
        ("closed", per_decision(|| let_through(&time))),
        ("closed_calls", per_decision(|| let_through(&calls))),
        ("closed_slow_calls", per_decision(|| let_through(&slow))),
        ("open", per_decision(|| refused(&open))),
    ];
    let slowest = alone.iter().map(|(_, (_, p99))| *p99).fold(0.0, f64::max);
    let mut figures = Figures::new();
    for (name, (p50, p99)) in alone {
        figures.insert(format!("{name}_ns_p50"), figure(p50));
        figures.insert(format!("{name}_ns_p99"), figure(p99));
    }
    figures.insert(format!("closed_ns_shared_by_{SHARED_BY}"), figure(contended(&time)));
    figures.insert("decision_us".into(), figure(slowest / 1e3));
    figures.insert("decision_us_bound".into(), figure(BOUND_US));
    figures
}

/// A call's whole way through the breaker: leave, and its outcome.
fn let_through(breaker: &Breaker) {
    black_box(breaker).acquire().expect("closed").success();
}

fn refused(breaker: &Breaker) {
    assert!(black_box(breaker).acquire().is_err());
}

/// Nanoseconds of one decision: the median of the batches, and what all but one in a hundred stay below.
fn per_decision(decide: impl Fn()) -> (f64, f64) {
    let batch = || {
        let started = Instant::now();
        (0..BATCH).for_each(|_| decide());
        started.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    };
    let mut batches: Vec<f64> = (0..BATCHES).map(|_| batch()).collect();
    batches.sort_by(f64::total_cmp);
    (batches[BATCHES / 2], batches[BATCHES * 99 / 100])
}

/// Nanoseconds between two decisions of a breaker that several threads use at once.
fn contended(breaker: &Breaker) -> f64 {
    let each = BATCH * 2_000;
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..SHARED_BY {
            scope.spawn(|| (0..each).for_each(|_| let_through(breaker)));
        }
    });
    started.elapsed().as_secs_f64() * 1e9 / (f64::from(each) * SHARED_BY as f64)
}

async fn open_circuit(figures: &mut Figures) {
    let mesh = mesh::start(&[Peer::State, Peer::ToolProxy]).await;
    open(&mesh).await;
    let baseline = Baseline::start().await;
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    for callers in [1, 64, 256] {
        let before = Inside::read(&mesh).await;
        let rounds = pairs(|| baseline.load(callers), || answers(&mesh, callers)).await;
        let inside = Inside::read(&mesh).await.since(&before);
        let mut add = |name: &str, value: f64| figures.insert(format!("open_{name}_{callers}"), figure(value));
        add("ratio", median(&rounds, |(echo, ours)| ours.rate / echo.rate));
        add("rate", median(&rounds, |(_, ours)| ours.rate));
        add("p99_us", median(&rounds, |(_, ours)| micros(ours.p99)));
        add("inside_p99_us_at_most", inside.percentile(99) * 1e6);
        if callers == 1 {
            add("rtts", median(&rounds, |(echo, ours)| ours.p50.as_secs_f64() / echo.p50.as_secs_f64()));
        }
    }
    mesh.end().await;
}

/// The first call finds nobody, and that opens the circuit for an hour.
async fn open(mesh: &Mesh) {
    let channel = channels(&mesh.url(Peer::ToolProxy), 1).await.remove(0);
    let mut caller = Caller { client: ToolServiceClient::new(channel) };
    while caller.ask().await.timing.expect("every answer has its timing").attempts > 0 {}
}

async fn answers(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::ToolProxy), callers).await;
    drive(channels.into_iter().map(|channel| Caller { client: ToolServiceClient::new(channel) }).collect()).await
}

struct Caller {
    client: ToolServiceClient<Channel>,
}

impl Caller {
    async fn ask(&mut self) -> CallToolResponse {
        let request = CallToolRequest { tool: TOOL.into(), arguments: r#"{"x":1}"#.into(), ..Default::default() };
        let answer = self.client.call_tool(request).await.expect("the proxy answers").into_inner();
        assert_eq!(answer.outcome(), Outcome::Degraded, "{}", answer.degraded_reason);
        answer
    }
}

impl Call for Caller {
    async fn call(&mut self) {
        let timing = self.ask().await.timing.expect("every answer has its timing");
        assert_eq!(timing.attempts, 0, "a socket was opened");
    }
}

/// How long calls took inside the proxy, as it counts them itself: by upper bound in seconds, each with all that were faster.
struct Inside(Vec<(f64, u64)>);

impl Inside {
    async fn read(mesh: &Mesh) -> Self {
        let page = mesh.metrics(Peer::ToolProxy).await;
        let ours = format!("holdfast_tool_call_seconds_bucket{{tool=\"{TOOL}\",le=\"");
        let buckets = page.lines().filter_map(|line| {
            let (bound, count) = line.strip_prefix(&ours)?.split_once("\"} ")?;
            // "+Inf" is a number, too.
            Some((bound.parse().ok()?, count.parse().ok()?))
        });
        Self(buckets.collect())
    }

    fn since(self, before: &Self) -> Self {
        assert!(!before.0.is_empty(), "the proxy counts its calls");
        Self(self.0.into_iter().zip(&before.0).map(|((bound, now), (_, then))| (bound, now - then)).collect())
    }

    /// The bound below which so many percent of them stayed.
    fn percentile(&self, percent: u64) -> f64 {
        let all = self.0.last().expect("there are bounds").1;
        let enough = |(_, faster): &&(f64, u64)| faster * 100 >= all * percent;
        self.0.iter().find(enough).expect("the last bound is above all").0
    }
}
