//! Many times more work than the workers can do, from callers who wait for nobody.
//!
//! A pool of workers fixes the capacity at a fiftieth of what a raw echo does in the same run. After a calm time, one, two,
//! five and ten times of it are offered; then calm again. What is taken is done at the same pace throughout, what is not
//! is refused at once with an honest time to come back, and nobody's memory grows with what is offered.

mod hints;
mod level;

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_testkit::{Mesh, Postgres};

use crate::load::echo::Baseline;
use crate::load::{Caller, Findings, Hold, Key, Memory, Pool, Size, Store, configured, telling};
use level::{Level, Settled};

/// A worker holds an invocation for so long.
const HOLD: Duration = Duration::from_millis(50);
/// How long what may wait takes to be done: so the queue fills within seconds.
const DEPTH_SECONDS: f64 = 3.0;
/// Of the capacity, before and after the surge.
const CALM: f64 = 0.5;
const SURGES: [u32; 4] = [1, 2, 5, 10];

const GOODPUT_MIN: f64 = 0.9;
const HINT_OFF_MAX: f64 = 0.25;
const REFUSED_MS_MAX: f64 = 10.0;
const MEMORY_FACTOR_MAX: f64 = 1.25;
const NORMAL_WITHIN_S: f64 = 30.0;
/// Below these floors the proof has not shown what it claims.
const OFFERED_MIN: f64 = 0.95;
const REFUSED_MIN: f64 = 0.7;
const COMPARED_MIN: f64 = 0.9;

/// Loads a mesh: one with two queue processes, where the store is one that they can share.
///
/// # Panics
/// Where a service does not start, or a stream of work breaks.
pub async fn run(size: Size, store: Store) -> Findings {
    let mut findings = Findings::default();
    let echo = Baseline::start().await;
    let capacity = echo.capacity(size, &mut findings).await;
    let surge = capacity * f64::from(SURGES[SURGES.len() - 1]);
    let beside = echo.times(surge, size.of(Duration::from_secs(5), Duration::from_secs(1))).await;
    drop(echo);
    findings.tell("echo_ms_p99", beside.p99());

    let server = store.server().await;
    let mut stage = Stage::set(capacity, server.as_ref()).await;
    let seconds = size.of(20, 6);
    let calm = stage.level("calm", CALM, seconds / 2).await;
    let mut levels = Vec::new();
    for times in SURGES {
        levels.push(stage.level(&format!("{times}x"), f64::from(times), seconds).await);
    }
    let after = stage.level("after", CALM, size.of(40, 20)).await;

    let pool = &stage.pool;
    let (calm, after) = (calm.settled(pool).await, after.settled(pool).await);
    let levels = join_all(levels.into_iter().map(|level| level.settled(pool))).await;
    goodput(&levels, capacity, &mut findings);
    refusals(&levels, &mut findings);
    memory(&levels, &mut findings);
    findings.tell("calm_wait_ms_p99", calm.waits().p99());
    findings.at_most("normal_after_s", after.normal_after_s(calm.waits().p99()), NORMAL_WITHIN_S);
    for settled in [&calm, &after].into_iter().chain(&levels) {
        findings.at_most(format!("never_begun_{}", settled.level.name), settled.never_begun() as f64, 0.0);
    }
    findings.at_most("completions_refused", stage.pool.refused() as f64, 0.0);
    findings.at_most("broken_streams", f64::from(u8::from(!stage.pool.is_whole())), 0.0);
    findings
}

/// All that one run needs.
struct Stage {
    capacity: f64,
    caller: Caller,
    pool: Pool,
    /// Of each process that an overload could fill.
    memory: Vec<(String, Memory)>,
    _mesh: Mesh,
}

impl Stage {
    async fn set(capacity: f64, server: Option<&Postgres>) -> Self {
        let depth = (capacity * DEPTH_SECONDS) as u64;
        let key = [Key::of("crowd")];
        let mut mesh = configured(&key, &format!("[queue]\ndepth_max = {depth}\n"), server).start().await;
        let workers = (capacity * HOLD.as_secs_f64()).round().max(1.0) as u32;
        telling(format!("{workers} workers hold each invocation for {HOLD:?}; {depth} may wait"));
        let pool = Pool::start(&mesh.urls(Peer::Queue), workers, Hold::Fixed(HOLD)).await;
        let mut memory = vec![("gateway".to_owned(), Memory::of(mesh.process(Peer::Gateway).id()))];
        for number in 0..mesh.queues() {
            memory.push((format!("queue_{number}"), Memory::of(mesh.process_of(Peer::Queue, number).id())));
        }
        let caller = Caller::each(&mesh, &key).remove(0);
        Self { capacity, caller, pool, memory, _mesh: mesh }
    }

    async fn level(&self, name: &str, times: f64, seconds: u64) -> Level {
        let length = Duration::from_secs(seconds);
        let mut level = Level::offer(name, &self.caller, &self.pool, self.capacity * times, length).await;
        let (refused, failed) = (level.refused(), level.failed());
        telling(format!(
            "{name:5} {} offered, {} refused, {} failed; {:.0}/s done; refused in p50 {:.1} ms, p99 {:.1} ms",
            level.answers.len(),
            refused.len(),
            failed.len(),
            level.goodput,
            refused.median(),
            refused.p99(),
        ));
        if let Some(why) = failed.first() {
            telling(format!("a failure: {why}"));
        }
        let held = |memory: &Memory| memory.most(level.begun + length / 2, level.begun + length);
        level.memory_mib = self.memory.iter().map(|(name, memory)| (name.clone(), held(memory))).collect();
        level
    }
}

fn goodput(levels: &[Settled], capacity: f64, findings: &mut Findings) {
    let peak = levels.iter().map(|settled| settled.level.goodput).fold(0.0, f64::max);
    // The floor: a pool that was never busy proves nothing.
    findings.at_least("peak_of_capacity", peak / capacity, GOODPUT_MIN);
    for Settled { level, .. } in levels {
        findings.at_least(format!("goodput_of_peak_{}", level.name), level.goodput / peak, GOODPUT_MIN);
        findings.at_most(format!("failed_{}", level.name), level.failed().len() as f64, 0.0);
        findings.at_least(format!("offered_of_planned_{}", level.name), level.offered_of_planned(), OFFERED_MIN);
        findings.tell(format!("load_late_ms_p99_{}", level.name), level.late.p99());
    }
}

fn refusals(levels: &[Settled], findings: &mut Findings) {
    for (settled, times) in levels.iter().zip(SURGES).skip(1) {
        let (name, level) = (&settled.level.name, &settled.level);
        let (refused, hints) = (level.refused(), settled.hints());
        findings.tell(format!("refused_{name}"), refused.len() as f64);
        // The floor: what is beyond the capacity finds no room, once the queue has filled.
        let beyond = (1.0 - 1.0 / f64::from(times)) * level.answers.len() as f64;
        findings.at_least(format!("refused_of_surplus_{name}"), refused.len() as f64 / beyond, REFUSED_MIN);
        findings.at_most(format!("without_hint_{name}"), level.without_hint() as f64, 0.0);
        findings.at_most(format!("refused_ms_p99_{name}"), refused.p99(), REFUSED_MS_MAX);
        findings.tell(format!("accepted_ms_p99_{name}"), level.accepted().p99());
        findings.tell(format!("true_wait_ms_p50_{name}"), settled.waits().median());
        findings.tell(format!("hint_of_true_wait_p50_{name}"), hints.of_true.median());
        findings.at_most(format!("hint_off_p50_{name}"), hints.off.median(), HINT_OFF_MAX);
        let compared = hints.off.len() as f64 / refused.len() as f64;
        findings.at_least(format!("hints_compared_{name}"), compared, COMPARED_MIN);
    }
}

fn memory(levels: &[Settled], findings: &mut Findings) {
    let (two, ten) = (&levels[1].level, &levels[levels.len() - 1].level);
    for ((process, at_two), (_, at_ten)) in two.memory_mib.iter().zip(&ten.memory_mib) {
        findings.tell(format!("{process}_mib_2x"), *at_two);
        findings.tell(format!("{process}_mib_10x"), *at_ten);
        findings.at_most(format!("{process}_memory_10x_of_2x"), at_ten / at_two, MEMORY_FACTOR_MAX);
    }
}
