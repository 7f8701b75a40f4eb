//! The script does what the model does, in a real Redis, and keeps the limits with it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use holdfast_testkit::Redis;
use tokio::runtime::Runtime;

use super::{
    model::Model,
    random::Random,
    world::{Books, Faults, MS, Plan, SECOND, World},
};
use crate::{
    domain::Counted,
    sharing::{
        ledger::{Ledger, Session},
        round::{Answer, Line, MemberId, Round},
    },
};

/// A ledger in a Redis of the test's own.
struct Real {
    session: Session,
    lives: u64,
    _redis: Redis,
    runtime: Runtime,
}

impl Real {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (redis, session) = runtime.block_on(async {
            let redis = Redis::start_with(&["--appendonly", "no"]).await;
            let ledger = Ledger::new(&settings(&redis.url()), "p").expect("there is a Redis");
            (redis, ledger.connect().await.expect("it answers"))
        });
        Self { session, lives: 0, _redis: redis, runtime }
    }

    fn called(&mut self) -> Vec<MemberId> {
        self.runtime.block_on(self.session.calls_so_far())
    }
}

pub(super) fn settings(url: &str) -> holdfast_config::Redis {
    // What is looked at is what it answers, and not how soon.
    let text = format!("[redis]\nurl = {url:?}\ntimeout = \"60s\"\ngone_after = \"61s\"\n");
    let document = holdfast_config::Document::parse("t.toml", &text, []).expect("it is TOML");
    holdfast_config::Common::from_document(&document).expect("the settings hold").redis
}

impl Books for Real {
    fn round(&mut self, round: &Round) -> (Answer, Vec<MemberId>) {
        let answer = self.runtime.block_on(self.session.round(round)).expect("it answers");
        (answer, self.called())
    }

    fn replace(&mut self) {
        self.lives += 1;
        self.session.set_life(format!("another {}", self.lives));
    }
}

/// Both at once, of one mind.
struct Both {
    model: Model,
    real: Real,
}

impl Books for Both {
    fn round(&mut self, round: &Round) -> (Answer, Vec<MemberId>) {
        let (said, mut called) = self.model.round(round);
        let (really, mut really_called) = self.real.round(round);
        assert_eq!(said, really, "{round:#?}");
        called.sort();
        really_called.sort();
        assert_eq!(called, really_called, "{round:#?}");
        (said, called)
    }

    fn replace(&mut self) {
        self.model.replace();
        self.real.replace();
    }
}

/// A round as nobody in good order would send it: what counts is that both make the same of it.
fn any_round(random: &mut Random, totals: &mut BTreeMap<(u64, usize), [u64; 4]>, clocks: &mut [u64; 4]) -> Round {
    let member = random.within(0, 3);
    let gone_by = random.within(1, 400 * MS);
    clocks.iter_mut().for_each(|clock| *clock += gone_by);
    let clock = clocks[member as usize];
    let id = |member: u64| MemberId(format!("m{member}").into());
    let others = (0..4).filter(|other| *other != member && random.once_in(2)).collect::<Vec<_>>();
    let others =
        others.into_iter().map(|other| (id(other), clocks[other as usize] - random.within(0, gone_by))).collect();
    let counted =
        [Counted::Window(Duration::from_secs(2)), Counted::Window(Duration::from_millis(700)), Counted::Places];
    let joins = totals.keys().all(|(of, _)| *of != member);
    let limits = (0..3).map(|of| {
        let [over, settled, returned, granted] = totals.entry((member, of)).or_default();
        *over += random.within(0, 1);
        *settled += random.within(0, (*granted + *over - *settled - *returned).min(5));
        *returned += random.within(0, (*granted + *over - *settled - *returned).min(3));
        let want = random.within(0, 12);
        Line {
            name: Arc::from(format!("k.{of}")),
            counted: counted[of],
            limit: 40,
            group: u32::from(of == 2),
            over: *over,
            settled: *settled,
            settled_at: clock.saturating_sub(random.within(0, 300 * MS)),
            returned: *returned,
            want,
            chunk: random.within(0, want),
            corrections: (0..random.within(0, 2))
                .map(|_| (clock.saturating_sub(random.within(0, SECOND)), 2))
                .collect(),
        }
    });
    Round { member: id(member), joins, clock, others, limits: limits.collect() }
}

#[test]
fn the_script_answers_as_the_model_does_whatever_it_is_told() {
    let mut both = Both { model: Model::default(), real: Real::start() };
    for seed in 0..10 {
        both.replace();
        let (mut random, mut totals, mut clocks) = (Random(seed), BTreeMap::new(), [SECOND; 4]);
        for _ in 0..200 {
            let round = any_round(&mut random, &mut totals, &mut clocks);
            match both.round(&round).0 {
                Answer::Taken { limits, .. } => {
                    let member = u64::from(round.member.0.as_bytes()[1] - b'0');
                    for (of, said) in limits.iter().enumerate() {
                        totals.get_mut(&(member, of)).expect("it was told")[3] = said.granted;
                    }
                }
                Answer::Stale => {}
                Answer::Unknown | Answer::Dead => totals.retain(|(of, _), _| *round.member.0 != format!("m{of}")),
            }
        }
    }
}

#[test]
fn no_window_holds_more_than_its_limit_by_the_script_either() {
    let all = Faults { crashes: true, pauses: true, losses: true, outages: true, absences: false, replacements: true };
    for seed in 0..3 {
        let plan = Plan {
            processes: 3,
            window: 3 * SECOND,
            limits: [300, 60_000, 60],
            reserve_percent: 5,
            gap: 20 * MS,
            tokens_max: 300,
            call_max: 300 * MS,
            faults: all,
            until: 20 * SECOND,
        };
        let limits = plan.limits;
        let mut world = World::new(plan, seed, Both { model: Model::default(), real: Real::start() });
        world.run();
        assert!(world.most[0] <= limits[0] && world.most[1] <= limits[1], "seed {seed}: {:?}", world.most);
        assert!(world.calls > 20, "seed {seed}: only {} calls were made", world.calls);
    }
}

#[test]
fn a_provider_may_have_thousands_of_limits() {
    let mut real = Real::start();
    let limits: Vec<_> = (0..2_000).map(|of| a_want(&format!("key-{of}/Requests"))).collect();
    for clock in 1..=2 {
        for member in 0..5 {
            let round = Round {
                member: MemberId(format!("m{member}").into()),
                joins: clock == 1,
                clock: clock * 100 * MS,
                others: BTreeMap::new(),
                limits: limits.clone(),
            };
            let (answer, _) = real.round(&round);
            let Answer::Taken { limits, .. } = answer else { panic!("{answer:?}") };
            assert_eq!(limits.len(), 2_000);
        }
    }
}

fn a_want(name: &str) -> Line {
    Line {
        name: name.into(),
        counted: Counted::Window(Duration::from_secs(2)),
        limit: 40,
        group: 0,
        over: 0,
        settled: 0,
        settled_at: 0,
        returned: 0,
        want: 4,
        chunk: 1,
        corrections: Vec::new(),
    }
}
