//! Single kinds of trouble, each with what it must not cost.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::sleep;

use super::{history::History, settings, world::World};
use crate::place::model::Outage;

const SEEDS: u64 = 10;

fn run<T>(seed: u64, trouble: fn(Arc<World>) -> T) -> History
where
    T: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { World::new(seed, None).run_under(trouble).await })
}

fn loses_nothing<T>(changes_max: usize, trouble: fn(Arc<World>) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut changes = 0;
    for seed in 0..SEEDS {
        let mut history = run(seed, trouble);
        assert!(history.lost.is_empty(), "seed {seed}: {:?}", history.lost);
        assert!(history.epochs.len() <= changes_max, "seed {seed}: {:?}", history.epochs);
        changes += history.epochs.len() as u64;
        history.check().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    // The first two epochs are the beginning.
    assert!(changes > 2 * SEEDS, "nothing has happened");
}

async fn cut_one_off(world: Arc<World>) {
    sleep(Duration::from_secs(2)).await;
    world.process(0).wire.set(Outage::Away);
    pending().await
}

/// Whoever watches sees it at the same time, and all end the epoch together.
async fn end_epochs(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(4)).await;
        let mut kept = world.shared.kept.lock();
        let epoch = kept.epoch;
        kept.drain(epoch);
    }
}

#[test]
fn an_epoch_ends_only_when_nobody_can_believe_in_it_however_long_his_lease() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let world = World::new(0, None);
        let process = world.start();
        process.life.mortal.store(false, Relaxed);
        sleep(Duration::from_secs(2)).await;
        let kept = &world.shared.kept;
        let epoch = kept.lock().epoch;
        assert!(kept.lock().deciding().lease >= settings().lease, "it is said before it is believed");
        kept.lock().believe(epoch, 3 * settings().lease);
        kept.lock().drain(epoch);
        sleep(3 * settings().lease).await;
        assert_eq!(kept.lock().epoch, epoch);
        sleep(Duration::from_secs(2)).await;
        assert_ne!(kept.lock().epoch, epoch);
    });
}

#[test]
fn one_who_alone_does_not_reach_the_place_costs_no_write_and_few_changes() {
    loses_nothing(5, cut_one_off);
}

#[test]
fn several_who_end_an_epoch_at_once_lose_nothing_of_it() {
    loses_nothing(8, end_epochs);
}
