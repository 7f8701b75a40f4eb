//! One tenant floods, nine submit as always: what the flood costs the nine.
//!
//! A pool of workers fixes the capacity at a fiftieth of what a raw echo does in the same run. The nine are measured alone,
//! then while the tenth pours in its work, and while that waits: as tenants who keep the workers busy by themselves, each
//! with some invocations in hand, so that what they wait for is their share; and as tenants who come now and then, and
//! alone find a free worker.
//!
//! These find none beside a flood: nobody's work is taken from him, so whoever comes waits until a worker becomes free,
//! and for those of the nine who came before him. However fair a queue is, that is a line of the nine's arrivals before one
//! server, the next worker that becomes free: where a part of `LIGHT_LOAD` of what the workers do is offered at random, and
//! workers become free at random, one in a hundred stands there for longer than ln(100) / (1 - `LIGHT_LOAD`) times the mean
//! time between two that become free. That and what they wait alone is what is possible; their bound is twice of it.

mod flood;
mod normal;
mod waits;

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::Mesh;

use crate::load::echo::Baseline;
use crate::load::{Caller, Findings, Hold, Key, Pool, Size, Store, configured, telling};
use normal::{busy, light};
use waits::Waits;

const WORKERS: u32 = 16;
const NORMAL_TENANTS: usize = 9;

/// What light tenants use together of what the workers do: each a third of its share.
const LIGHT_LOAD: f64 = 0.3;

const WAIT_FACTOR_MAX: f64 = 2.0;
/// Below these floors nothing has been shown.
const DONE_OF_ALONE_MIN: f64 = 0.75;
const DONE_MIN: f64 = 100.0;

/// Floods a mesh: one with two queue processes, where the store is one that they can share.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size, store: Store) -> Findings {
    let mut findings = Findings::default();
    let echo = Baseline::start().await;
    let capacity = echo.capacity(size, &mut findings).await;
    drop(echo);
    let flood = size.of(100_000, 5_000);
    let keys = keys();
    let server = store.server().await;
    let mesh = configured(&keys, &room_for(flood), server.as_ref()).start().await;
    let hold = hold(capacity);
    telling(format!("{WORKERS} workers hold each invocation for about {hold:?}"));
    let pool = Pool::start(&mesh.urls(Peer::Queue), WORKERS, Hold::About(hold)).await;
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
    /// How long each load is measured.
    length: Duration,
}

impl Stage {
    fn new(mesh: &Mesh, keys: &[Key], pool: Pool, capacity: f64, size: Size) -> Self {
        let mut nine = Caller::each(mesh, keys);
        let flooder = nine.pop().expect("the last one floods");
        Self { nine, flooder, pool, capacity, length: size.of(Duration::from_secs(25), Duration::from_secs(4)) }
    }

    async fn compare(&mut self, flood: usize, findings: &mut Findings) {
        let busy_alone = self.busy().await;
        // What the workers can do here, and not what they could do if nothing came between two invocations.
        let light_per_s = busy_alone.done_per_s * LIGHT_LOAD;
        let light_alone = self.light(light_per_s).await;
        telling("the nine alone are done; the flood begins");
        let (busy_beside, flood) = tokio::join!(self.busy(), flood::pour(&self.flooder, flood));
        telling(format!("{} poured in within {:.1?}, after {} refusals", flood.len(), flood.took, flood.refusals));
        let light_beside = self.light(light_per_s).await;

        findings.tell("flood_poured_within_s", flood.took.as_secs_f64());
        findings.tell("flood_refusals", f64::from(flood.refusals));
        // The flood must outlast the nine, or they were alone at the end.
        findings.at_least("flood_waiting_at_the_end", flood.waiting(&self.pool) as f64, 1.0);
        self.tell_done(&busy_alone, &busy_beside, &light_beside, findings);
        tell("busy", &busy_alone, &busy_beside, findings);
        tell("light", &light_alone, &light_beside, findings);
        let (alone, beside) = (busy_alone.all().p99(), busy_beside.all().p99());
        findings.at_most("busy_p99_factor", beside / alone, WAIT_FACTOR_MAX);
        findings.tell("busy_worst_tenant_p99_factor", busy_beside.worst_p99() / busy_alone.worst_p99());
        let possible = light_alone.all().p99() + in_line_ms_p99(light_beside.done_per_s);
        findings.tell("light_possible_ms_p99", possible);
        findings.at_most("light_p99_of_possible", light_beside.all().p99() / possible, WAIT_FACTOR_MAX);
        findings.at_most("broken_streams", f64::from(u8::from(!self.pool.is_whole())), 0.0);
    }

    /// The pool is busy throughout, for something always waits: what it does less than its capacity is what a worker waits
    /// between two invocations, and the machine has little else to give beside so many processes. But what waits must cost
    /// it nothing, or the nine were compared on two different machines.
    fn tell_done(&self, alone: &Waits, pouring: &Waits, waiting: &Waits, findings: &mut Findings) {
        for (when, waits) in [("alone", alone), ("while_pouring", pouring), ("while_waiting", waiting)] {
            findings.tell(format!("done_of_capacity_{when}"), waits.done_per_s / self.capacity);
        }
        findings.at_least("done_beside_of_alone", waiting.done_per_s / alone.done_per_s, DONE_OF_ALONE_MIN);
    }

    async fn light(&self, per_s: f64) -> Waits {
        Waits::of(light(&self.nine, per_s, self.length), &self.pool).await
    }

    async fn busy(&self) -> Waits {
        Waits::of(busy(&self.nine, &self.pool, self.length), &self.pool).await
    }
}

/// The longest of a hundred waits of light tenants in a line of their own, where so many workers a second become free.
fn in_line_ms_p99(free_per_s: f64) -> f64 {
    100_f64.ln() / (1.0 - LIGHT_LOAD) / free_per_s * 1e3
}

fn tell(load: &str, alone: &Waits, beside: &Waits, findings: &mut Findings) {
    for (when, waits) in [("alone", alone), ("beside", beside)] {
        findings.at_least(format!("{load}_{when}_done"), waits.count() as f64, DONE_MIN);
        findings.at_most(format!("{load}_{when}_refused_or_lost"), waits.lost as f64, 0.0);
        findings.tell(format!("{load}_{when}_ms_p50"), waits.all().median());
        findings.tell(format!("{load}_{when}_ms_p99"), waits.all().p99());
    }
}
