//! One tenant floods, nine submit as always: what the flood costs the nine.
//!
//! A pool of workers fixes the capacity at a fiftieth of what a raw echo does in the same run. The nine are measured alone,
//! then while the tenth pours in its work, and while that waits: as tenants who keep the workers busy by themselves, each
//! with some invocations in hand, so that what they wait for is their share; and as tenants who come now and then, and
//! alone find a free worker. Beside the flood these wait for a worker to become free, however fair the queue is, for
//! nobody's work is taken from him: that may cost them the time of one invocation.

mod flood;
mod normal;
mod waits;

use std::time::{Duration, Instant};

use holdfast_testkit::Mesh;

use crate::load::echo::Baseline;
use crate::load::{Caller, Findings, Hold, Key, Pool, Size, Store, configured, telling};
use normal::{busy, light};
use waits::Waits;

const PART_OF_ECHO: f64 = 50.0;
/// What a build that is not optimised can do too, on a machine with much else to do.
const CAPACITY_MIN: f64 = 100.0;
const WORKERS: u32 = 16;
const NORMAL_TENANTS: usize = 9;

const WAIT_FACTOR_MAX: f64 = 2.0;
const LIGHT_MORE_MAX: f64 = 1.0;
/// Below these floors nothing has been shown.
const BUSY_MIN: f64 = 0.75;
const DONE_MIN: f64 = 100.0;

/// Floods a mesh: one with two queue processes, where the store is one that they can share.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size, store: Store) -> Findings {
    let mut findings = Findings::default();
    let echo = Baseline::start().await;
    let echo_rate = echo.rate(size.of(Duration::from_secs(3), Duration::from_secs(1))).await;
    drop(echo);
    let capacity = (echo_rate / PART_OF_ECHO).round().max(CAPACITY_MIN);
    findings.tell("echo_per_s", echo_rate);
    findings.tell("capacity_per_s", capacity);
    let flood = size.of(100_000, 5_000);
    let keys = keys();
    let server = store.server().await;
    let mesh = configured(&keys, &room_for(flood), server.as_ref()).start().await;
    let hold = hold(capacity);
    telling(format!("{WORKERS} workers hold each invocation for about {hold:?}"));
    let pool = Pool::start(&mesh.queue_urls(), WORKERS, Hold::About(hold)).await;
    let mut stage = Stage::new(&mesh, &keys, pool, capacity, size);
    stage.compare(flood, &mut findings).await;
    findings
}

/// How long a worker holds an invocation.
fn hold(capacity: f64) -> Duration {
    Duration::from_secs_f64(f64::from(WORKERS) / capacity)
}

fn keys() -> Vec<Key> {
    let normal = (1..=NORMAL_TENANTS).map(|number| format!("normal_{number}"));
    normal.chain(["flood".into()]).map(|name| Key::of(&name)).collect()
}

/// All of the flood fits, so that what the nine see is the order of work and no lack of room.
fn room_for(flood: usize) -> String {
    let (all, one) = (flood * 4, flood * 2);
    format!("[queue]\ndepth_max = {all}\n[tenants.flood]\ndepth_max = {one}\n")
}

struct Stage {
    nine: Vec<Caller>,
    flooder: Caller,
    pool: Pool,
    capacity: f64,
    hold: Duration,
    /// How long each load is measured.
    length: Duration,
}

impl Stage {
    fn new(mesh: &Mesh, keys: &[Key], pool: Pool, capacity: f64, size: Size) -> Self {
        let mut nine = Caller::each(mesh, keys);
        let flooder = nine.pop().expect("the last one floods");
        let hold = hold(capacity);
        Self { nine, flooder, pool, capacity, hold, length: size.of(Duration::from_secs(25), Duration::from_secs(4)) }
    }

    async fn compare(&mut self, flood: usize, findings: &mut Findings) {
        let light_alone = self.light().await;
        let busy_alone = self.busy().await;
        telling("the nine alone are done; the flood begins");
        let (begun, before) = (Instant::now(), self.pool.completed());
        let (busy_beside, flood) = tokio::join!(self.busy(), flood::pour(&self.flooder, flood));
        telling(format!("{} poured in within {:.1?}, after {} refusals", flood.len(), flood.took, flood.refusals));
        let light_beside = self.light().await;
        let done = (self.pool.completed() - before) as f64 / begun.elapsed().as_secs_f64();

        findings.tell("flood_poured_within_s", flood.took.as_secs_f64());
        findings.tell("flood_refusals", f64::from(flood.refusals));
        // The flood must outlast the nine, or they were alone at the end.
        findings.at_least("flood_waiting_at_the_end", flood.waiting(&self.pool) as f64, 1.0);
        findings.at_least("done_of_capacity", done / self.capacity, BUSY_MIN);
        tell("busy", &busy_alone, &busy_beside, findings);
        tell("light", &light_alone, &light_beside, findings);
        let (alone, beside) = (busy_alone.all().p99(), busy_beside.all().p99());
        findings.at_most("busy_p99_factor", beside / alone, WAIT_FACTOR_MAX);
        findings.tell("busy_worst_tenant_p99_factor", busy_beside.worst_p99() / busy_alone.worst_p99());
        let more_ms = light_beside.all().p99() - light_alone.all().p99();
        findings.at_most("light_p99_more_in_invocations", more_ms / (self.hold.as_secs_f64() * 1e3), LIGHT_MORE_MAX);
        findings.at_most("broken_streams", f64::from(u8::from(!self.pool.is_whole())), 0.0);
    }

    async fn light(&self) -> Waits {
        Waits::of(light(&self.nine, self.capacity, self.length).await, &self.pool).await
    }

    async fn busy(&self) -> Waits {
        Waits::of(busy(&self.nine, &self.pool, self.length).await, &self.pool).await
    }
}

fn tell(load: &str, alone: &Waits, beside: &Waits, findings: &mut Findings) {
    for (when, waits) in [("alone", alone), ("beside", beside)] {
        findings.at_least(format!("{load}_{when}_done"), waits.count() as f64, DONE_MIN);
        findings.at_most(format!("{load}_{when}_refused_or_lost"), waits.lost as f64, 0.0);
        findings.tell(format!("{load}_{when}_ms_p50"), waits.all().median());
        findings.tell(format!("{load}_{when}_ms_p99"), waits.all().p99());
    }
}
