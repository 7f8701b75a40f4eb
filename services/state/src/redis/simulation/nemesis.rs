//! What goes wrong.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::sleep;

use super::{
    PROCESSES,
    world::{Weather, World},
};
use crate::place::model::{Outage, Snapshot};

/// Something goes wrong every so often, until it is stopped.
pub(super) async fn run(world: Arc<World>) {
    let shared = Arc::clone(&world.shared);
    let random = &shared.random;
    // What a replica has, or a file: a little old.
    let mut behind: Snapshot = shared.place.snapshot();
    loop {
        sleep(Duration::from_millis(50 + random.below(1_500))).await;
        (0..PROCESSES).for_each(|at| world.revive(at));
        let at = random.below(PROCESSES as u64) as usize;
        let span = Duration::from_millis(100 + random.below(6_000));
        let inject = |what| shared.history.lock().inject(what);
        let kind = match shared.weather {
            Weather::Mixed => random.below(17),
            Weather::Parted => 15,
            Weather::Crowded => 17,
        };
        match kind {
            0 | 1 => world.process(at).life.die(),
            2 | 3 => {
                inject("pause");
                world.process(at).life.stand_still(span);
            }
            4 => {
                inject("place away");
                shared.place.set(Outage::Away);
                later(&world, span, |world| world.shared.place.set(Outage::None));
            }
            5 => {
                inject("place mute");
                shared.place.set(Outage::Mute);
                later(&world, span / 4, |world| world.shared.place.set(Outage::None));
            }
            6 | 7 => {
                inject("place away for one");
                world.process(at).wire.set(if random.once_in(3) { Outage::Mute } else { Outage::Away });
                later(&world, span * 2, move |world| world.process(at).wire.set(Outage::None));
            }
            8 => {
                inject("place restarts");
                shared.place.live_again(shared.place.snapshot());
            }
            9 | 10 => {
                inject("failover");
                shared.place.live_again(behind.clone());
            }
            11 => {
                inject("place replaced");
                shared.place.replace();
            }
            12 => {
                inject("place forgets");
                shared.place.forget();
            }
            13 => {
                inject("store away");
                shared.store_away.store(true, Relaxed);
                later(&world, span / 2, |world| world.shared.store_away.store(false, Relaxed));
            }
            14 => {
                shared.store_silent.store(true, Relaxed);
                later(&world, span, |world| world.shared.store_silent.store(false, Relaxed));
            }
            15 | 16 => {
                // While one is slow, another changes who decides, for he alone does not reach the place.
                inject("slow");
                let slow = [world.process(at).life, world.process((at + 2) % PROCESSES).life];
                slow.iter().for_each(|life| life.slow.store(true, Relaxed));
                let other = (at + 1) % PROCESSES;
                match if shared.weather == Weather::Parted { 3 } else { random.below(4) } {
                    0 => shared.place.live_again(behind.clone()),
                    1 => shared.place.replace(),
                    _ => world.process(other).wire.set(Outage::Away),
                }
                later(&world, Duration::from_secs(3) + span, move |world| {
                    slow.iter().for_each(|life| life.slow.store(false, Relaxed));
                    world.process(other).wire.set(Outage::None);
                });
            }
            17 => {
                inject("slow");
                let slow: Vec<_> = (0..PROCESSES).map(|at| world.process(at).life).collect();
                slow.iter().for_each(|life| life.slow.store(true, Relaxed));
                later(&world, span, move |_| slow.iter().for_each(|life| life.slow.store(false, Relaxed)));
            }
            _ => {}
        }
        if random.once_in(2) {
            sleep(Duration::from_millis(random.below(300))).await;
            behind = shared.place.snapshot();
        }
    }
}

fn later(world: &Arc<World>, span: Duration, change: impl FnOnce(&World) + Send + 'static) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(span).await;
        change(&world);
    });
}

/// Nothing is wrong any more.
pub(super) fn heal(world: &World) {
    world.shared.place.set(Outage::None);
    world.shared.store_away.store(false, Relaxed);
    world.shared.store_silent.store(false, Relaxed);
    for at in 0..PROCESSES {
        world.revive(at);
        let process = world.process(at);
        process.wire.set(Outage::None);
        process.life.slow.store(false, Relaxed);
        process.life.mortal.store(false, Relaxed);
        process.life.stand_still(Duration::ZERO);
    }
}
