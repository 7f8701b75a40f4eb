//! One tenant floods, nine submit as always: what the flood costs the nine.
//!
//! A pool of workers fixes the capacity at a fiftieth of what a raw echo does in the same run. The nine together use a part
//! of it that is well within their shares: first alone, then while the tenth pours in its work and while it waits.

use std::time::{Duration, Instant};

use futures::future::join_all;
use holdfast_testkit::Mesh;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::load::echo::Baseline;
use crate::load::{
    Answer, Arrivals, Caller, Findings, Hold, Key, Offered, Outcome, Pool, Size, Spread, Store, configured, offer,
    telling,
};

const PART_OF_ECHO: f64 = 50.0;
const WORKERS: u32 = 16;
const NORMAL_TENANTS: usize = 9;
/// What the nine together use of the capacity: each holds to a third of its share.
const NORMAL_LOAD: f64 = 0.3;
/// Callers of the tenant that floods: each submits again as soon as it is answered.
const FLOOD_CALLERS: usize = 64;
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

const WAIT_FACTOR_MAX: f64 = 2.0;
const OFFERED_MIN: f64 = 0.95;
const BUSY_MIN: f64 = 0.9;

/// Floods a mesh: one with two queue processes, where the store is one that they can share.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size, store: Store) -> Findings {
    let mut findings = Findings::default();
    let echo = Baseline::start().await;
    let echo_rate = echo.rate(size.of(Duration::from_secs(3), Duration::from_secs(1))).await;
    drop(echo);
    let capacity = (echo_rate / PART_OF_ECHO).round();
    findings.tell("echo_per_s", echo_rate);
    findings.tell("capacity_per_s", capacity);
    let flood = size.of(100_000, 5_000);
    let keys = keys();
    let server = store.server().await;
    let mesh = configured(&keys, &room_for(flood), server.as_ref()).start().await;
    let hold = Duration::from_secs_f64(f64::from(WORKERS) / capacity);
    telling(format!("{WORKERS} workers hold each invocation for about {hold:?}"));
    let mut pool = Pool::start(&mesh.queue_urls(), WORKERS, Hold::About(hold)).await;
    let stage = Stage { mesh: &mesh, keys, capacity };
    stage.compare(flood, size, &mut pool, &mut findings).await;
    findings
}

fn keys() -> Vec<Key> {
    (1..=NORMAL_TENANTS)
        .map(|number| format!("normal_{number}"))
        .chain(["flood".into()])
        .map(|name| Key::of(&name))
        .collect()
}

/// All of the flood fits, so that what the nine see is the order of work and no lack of room.
fn room_for(flood: usize) -> String {
    let (all, one) = (flood * 4, flood * 2);
    format!("[queue]\ndepth_max = {all}\n[tenants.flood]\ndepth_max = {one}\n")
}

struct Stage<'a> {
    mesh: &'a Mesh,
    keys: Vec<Key>,
    capacity: f64,
}

impl Stage<'_> {
    async fn compare(&self, flood: usize, size: Size, pool: &mut Pool, findings: &mut Findings) {
        let mut callers = Caller::each(self.mesh, &self.keys);
        let flooder = callers.pop().expect("the last one floods");
        let alone = self.normal(&callers, size.of(Duration::from_secs(30), Duration::from_secs(4))).await;
        telling("the nine alone are done; the flood begins");
        let alone = Waits::of(alone, pool).await;

        let beside = self.normal(&callers, size.of(Duration::from_secs(60), Duration::from_secs(8)));
        let (begun, before) = (Instant::now(), pool.completed());
        let (beside, poured) = tokio::join!(beside, pour(flooder, flood));
        let done = (pool.completed() - before) as f64 / begun.elapsed().as_secs_f64();
        let poured_within = poured.last - begun;
        telling(format!("{flood} poured in within {poured_within:.1?}, after {} refusals", poured.refusals));
        // What was first in its line waits longest: the flood must outlast the nine, or they were alone at the end.
        findings.at_least("flood_waiting_at_the_end", poured.waiting(pool) as f64, 1.0);
        let beside = Waits::of(beside, pool).await;

        findings.at_least("busy_of_capacity", done / self.capacity, BUSY_MIN);
        findings.tell("flood_poured_within_s", poured_within.as_secs_f64());
        findings.tell("flood_refusals", f64::from(poured.refusals));
        let pouring = |at: Instant| at < poured.last;
        alone.tell("alone", self.offered(&alone, size.of(30.0, 4.0)), findings);
        beside.tell("beside", self.offered(&beside, size.of(60.0, 8.0)), findings);
        findings.tell("beside_ms_p99_pouring", beside.spread(pouring).p99());
        findings.tell("beside_ms_p99_poured", beside.spread(|at| !pouring(at)).p99());
        findings.at_most("p99_factor", beside.all().p99() / alone.all().p99(), WAIT_FACTOR_MAX);
        findings.tell("worst_tenant_p99_factor", beside.worst_p99() / alone.worst_p99());
        findings.at_most("broken_streams", f64::from(u8::from(!pool.is_whole())), 0.0);
    }

    /// What each of the nine was answered.
    async fn normal(&self, callers: &[Caller], length: Duration) -> Vec<Offered<Answer>> {
        let each = self.capacity * NORMAL_LOAD / callers.len() as f64;
        join_all(callers.iter().map(|caller| offer(Arrivals::new(each, length), || caller.submit()))).await
    }

    fn offered(&self, waits: &Waits, seconds: f64) -> f64 {
        waits.count() as f64 / (self.capacity * NORMAL_LOAD * seconds)
    }
}

/// The flood: when it was in, and what became of it.
struct Poured {
    numbers: Vec<u64>,
    refusals: u32,
    last: Instant,
}

impl Poured {
    fn waiting(&self, pool: &Pool) -> usize {
        self.numbers.iter().filter(|number| pool.began(**number).is_none()).count()
    }
}

/// Submits so many, as fast as they are taken.
async fn pour(caller: Caller, flood: usize) -> Poured {
    let mut callers = JoinSet::new();
    for index in 0..FLOOD_CALLERS {
        let (caller, share) = (caller.clone(), (index..flood).step_by(FLOOD_CALLERS).count());
        callers.spawn(async move {
            let mut answers = Vec::with_capacity(share);
            for _ in 0..share {
                answers.push(caller.insist().await);
            }
            answers
        });
    }
    let answers = callers.join_all().await.concat();
    Poured {
        numbers: answers.iter().map(|(answer, _)| answer.number).collect(),
        refusals: answers.iter().map(|(_, refusals)| refusals).sum(),
        last: answers.iter().map(|(answer, _)| answer.answered).max().expect("a flood is not empty"),
    }
}

/// How long each tenant's work waited from its acknowledgement until it began, with when it was sent.
struct Waits {
    tenants: Vec<Vec<(Instant, Duration)>>,
    lost: usize,
    late: Spread,
}

impl Waits {
    async fn of(offered: Vec<Offered<Answer>>, pool: &Pool) -> Self {
        let until = Instant::now() + BEGINS_WITHIN;
        let answers = || offered.iter().flat_map(|offered| &offered.answers);
        let accepted = |answer: &&Answer| answer.outcome == Outcome::Accepted;
        while Instant::now() < until && answers().filter(accepted).any(|answer| pool.began(answer.number).is_none()) {
            sleep(Duration::from_millis(100)).await;
        }
        let wait = |answer: &Answer| {
            let began = pool.began(answer.number).filter(|_| answer.outcome == Outcome::Accepted)?;
            Some((answer.sent, began.saturating_duration_since(answer.answered)))
        };
        let tenants: Vec<Vec<_>> =
            offered.iter().map(|offered| offered.answers.iter().filter_map(wait).collect()).collect();
        let lost = answers().count() - tenants.iter().map(Vec::len).sum::<usize>();
        Self { tenants, lost, late: offered.iter().flat_map(|offered| offered.late.iter().copied()).collect() }
    }

    fn count(&self) -> usize {
        self.tenants.iter().map(Vec::len).sum()
    }

    fn spread(&self, when: impl Fn(Instant) -> bool) -> Spread {
        self.tenants.iter().flatten().filter(|(sent, _)| when(*sent)).map(|(_, wait)| *wait).collect()
    }

    fn all(&self) -> Spread {
        self.spread(|_| true)
    }

    fn worst_p99(&self) -> f64 {
        let p99 = |waits: &Vec<(Instant, Duration)>| waits.iter().map(|(_, wait)| *wait).collect::<Spread>().p99();
        self.tenants.iter().map(p99).fold(0.0, f64::max)
    }

    fn tell(&self, name: &str, offered: f64, findings: &mut Findings) {
        findings.at_least(format!("{name}_offered_of_planned"), offered, OFFERED_MIN);
        findings.at_most(format!("{name}_refused_or_lost"), self.lost as f64, 0.0);
        findings.tell(format!("{name}_load_late_ms_p99"), self.late.p99());
        findings.tell(format!("{name}_ms_p50"), self.all().median());
        findings.tell(format!("{name}_ms_p99"), self.all().p99());
        findings.tell(format!("{name}_ms_p99_worst_tenant"), self.worst_p99());
    }
}
