//! Background duties. Each forgets something whose time is over; none decides about a record by itself.

mod epochs;
mod fences;
mod history;
mod marks;
mod tombstones;

use std::time::Duration;

use holdfast_rpc::{service::Stop, time::now_micros};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::{config::Config, domain::Micros, embedded::Embedded};

pub use history::Sweep;

/// How often the quick duties are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the slow ones are.
const SLOW_TICK: Duration = Duration::from_secs(60);

/// Does the duties until it is told to stop.
pub async fn run(embedded: Embedded, config: Config, stop: Stop) {
    let sweep = Sweep::new(&embedded, &config.keep);
    tokio::join!(quick(&embedded, &config, &stop), slow(&embedded, &config, &stop), sweep.run(&stop));
}

async fn quick(embedded: &Embedded, config: &Config, stop: &Stop) {
    let mut ticks = every(TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        marks::clean_idle(embedded, Instant::now().checked_sub(config.idle())).await;
        marks::gauge(embedded);
    }
}

async fn slow(embedded: &Embedded, config: &Config, stop: &Stop) {
    let mut ticks = every(SLOW_TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        once(embedded, config, now_micros()).await;
    }
}

/// Every duty that goes by the wall clock, once.
pub async fn once(embedded: &Embedded, config: &Config, now: Micros) {
    tombstones::forget(embedded, horizon(now, &config.keep.tombstones)).await;
    fences::forget(embedded, horizon(now, &config.keep.fences)).await;
    epochs::fold(embedded, horizon(now, &config.keep.lost_epochs)).await;
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn horizon(now: Micros, age: &Duration) -> Micros {
    now.saturating_sub(Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX))
}
