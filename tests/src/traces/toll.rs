//! What traces cost at the sampling that is set by default: the same load on two meshes by turns, one of which exports.

use std::time::{Duration, Instant};

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::{InvocationSpec, Payload};
use holdfast_testkit::{Mesh, MeshBuilder};
use tokio::task::JoinSet;

use super::census::Census;
use super::storm::{DISPUTE, demonstration};
use crate::load::{Caller, Findings, Hold, Key, Pool, Size, Spread, configured, telling};

/// Who do one thing after another.
const CALLERS: usize = 24;
/// What the traced mesh does of what the other one does, at least.
const SHARE_MIN: f64 = 0.95;

/// Runs the proof.
///
/// # Panics
/// Where a mesh does not come up, or does not do its work.
pub async fn run(size: Size) -> Findings {
    let (rounds, length) = size.of((15, Duration::from_secs(4)), (3, Duration::from_secs(2)));
    let census = Census::start().await;
    let traced = |builder: MeshBuilder| builder.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", census.endpoint());
    let mut findings = Findings::default();

    let keys = [Key::of("acme")];
    let bare = || configured(&keys, "", None);
    let pair = [Lifecycles::start(bare(), &keys).await, Lifecycles::start(traced(bare()), &keys).await];
    let mut lifecycles = Both::new("lifecycles");
    for round in 0..=rounds {
        let [plain, with] = by_turns(round, async |one: usize| pair[one].round(length).await).await;
        lifecycles.note(round, plain, with);
    }
    drop(pair);
    lifecycles.tell(&mut findings);

    let whole = || Mesh::builder().config(demonstration()).env("HOLDFAST_TELEMETRY__LOG", "warn");
    let pair = [whole().start().await, traced(whole()).start().await];
    let mut demonstrations = Both::new("demonstrations");
    for round in 0..=rounds {
        let [plain, with] = by_turns(round, async |one: usize| disputes(&pair[one], length).await).await;
        demonstrations.note(round, plain, with);
    }
    demonstrations.tell(&mut findings);
    findings.at_least("spans_received", census.count() as f64, 1.0);
    findings
}

/// Measures both, beginning with one and the other by turns: what the machine does meanwhile strikes both alike.
async fn by_turns(round: usize, measure: impl AsyncFn(usize) -> f64) -> [f64; 2] {
    if round.is_multiple_of(2) {
        return [measure(0).await, measure(1).await];
    }
    let with = measure(1).await;
    [measure(0).await, with]
}

/// What two meshes did of one thing, round by round.
struct Both {
    what: &'static str,
    plain: Vec<f64>,
    with: Vec<f64>,
}

impl Both {
    const fn new(what: &'static str) -> Self {
        Self { what, plain: Vec::new(), with: Vec::new() }
    }

    /// The first round is for warming up.
    fn note(&mut self, round: usize, plain: f64, with: f64) {
        let what = self.what;
        telling(format!("{what}: {plain:.0} a second without traces, {with:.0} with"));
        if round > 0 {
            self.plain.push(plain);
            self.with.push(with);
        }
    }

    fn tell(self, findings: &mut Findings) {
        let Self { what, plain, with } = self;
        let shares: Spread = plain.iter().zip(&with).map(|(plain, with)| with / plain).collect();
        findings.tell(format!("{what}_per_s_without"), plain.into_iter().collect::<Spread>().median());
        findings.tell(format!("{what}_per_s_traced"), with.into_iter().collect::<Spread>().median());
        findings.at_least(format!("{what}_share_kept"), shares.median(), SHARE_MIN);
    }
}

/// A mesh whose workers do nothing: all the time is the mesh's own.
struct Lifecycles {
    _mesh: Mesh,
    caller: Caller,
    pool: Pool,
}

impl Lifecycles {
    async fn start(builder: MeshBuilder, keys: &[Key]) -> Self {
        let mesh = builder.start().await;
        let caller = Caller::each(&mesh, keys).remove(0);
        let pool = Pool::start(&[mesh.url(Peer::Queue)], CALLERS as u32, Hold::Fixed(Duration::ZERO)).await;
        Self { _mesh: mesh, caller, pool }
    }

    /// How many a second go from their submission to their end.
    async fn round(&self, length: Duration) -> f64 {
        let (began, caller, pool) = (Instant::now(), &self.caller, &self.pool);
        let each = (0..CALLERS).map(|_| async move {
            let mut done = 0;
            while began.elapsed() < length {
                let (answer, _) = caller.insist().await;
                pool.ended(answer.number).await;
                done += 1;
            }
            done
        });
        let done: u32 = futures::future::join_all(each).await.into_iter().sum();
        f64::from(done) / began.elapsed().as_secs_f64()
    }
}

/// How many demonstrations a second end.
async fn disputes(mesh: &Mesh, length: Duration) -> f64 {
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for _ in 0..CALLERS {
        let mut client = InvocationServiceClient::new(mesh.channel(Peer::Gateway));
        callers.spawn(async move {
            let mut done = 0;
            while began.elapsed() < length {
                let payload = Some(Payload { data: DISPUTE.into(), content_type: String::new() });
                let spec = InvocationSpec { agent: "disputes".into(), payload, ..Default::default() };
                client.run_invocation(RunInvocationRequest { spec: Some(spec) }).await.expect("it ends");
                done += 1;
            }
            done
        });
    }
    let done: u32 = callers.join_all().await.into_iter().sum();
    f64::from(done) / began.elapsed().as_secs_f64()
}
