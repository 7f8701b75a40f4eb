//! One of five tools hangs for 30 s, on 2% of its calls and then on all of them, while a pool of 10 agents works off what
//! would be 12,000 invocations in a working day, with the bursts of a real trace.
//!
//! Twice, by the same executable: with plain settings, as a pilot is built (no limit, no breaker that ever opens, no
//! fallback but the word that a tool is required to have), and with protected ones. The day runs 20 times as fast as a
//! real one, and everything with it: arrivals, models, tools, the hang, timeouts, breakers' windows, deadlines. The mesh's
//! own time is not made shorter by that, so it weighs 20 times as much as it would.
//!
//! Nothing is believed of the mesh: cases are counted by who asked for them, calls and effects by the simulated tools.
//! The other four tools are also called from outside of the pool all the time, and those calls are timed.

mod case;
mod day;
pub mod desk;
mod probes;
mod stage;
mod verdict;

use std::time::Duration;

use crate::load::{Findings, Size, telling};
pub use case::{Case, End, Ended};
pub use day::{CASES_A_DAY, SPEED, Stretch};
pub use desk::Settings;
pub use stage::{Hang, Phase, Stage};

/// Compares the two settings; None where the trace is not there.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size) -> Option<Findings> {
    let stretch = Stretch::of_the_day(size.of(Duration::from_secs(70), Duration::from_secs(12)))?;
    telling(format!(
        "time runs {SPEED} times as fast as on the day: {:?} of {CASES_A_DAY} cases in 8 hours are {:?} here, from second \
         {} on, {} cases, at most {} in 5 s; in each of three phases, with each of two settings",
        stretch.length() * SPEED,
        stretch.length(),
        stretch.begins().as_secs(),
        stretch.arrivals().len(),
        stretch.burst(),
    ));
    let mut findings = Findings::default();
    findings.tell("time_factor", f64::from(SPEED));
    findings.tell("minutes_of_the_day", (stretch.length() * SPEED).as_secs_f64() / 60.0);
    let mut rows = vec![verdict::HEAD.to_owned()];
    for settings in [Settings::Plain, Settings::Protected] {
        let stage = Stage::start(settings).await;
        stage.warm_up().await;
        let mut phases = Vec::new();
        for hang in [Hang::Never, Hang::Sometimes, Hang::Always] {
            let phase = stage.play(hang, &stretch).await;
            telling(phase.row());
            rows.push(phase.row());
            phases.push(phase);
        }
        verdict::judge(settings, &phases, size, &mut findings);
        let noted = stage.notes().await;
        verdict::judge_notes(settings, &phases, &noted, &mut findings);
    }
    println!("{}", rows.join("\n"));
    Some(findings)
}
