use super::*;

const THREE: [Peer; 3] = [Peer::State, Peer::Queue, Peer::Gateway];

struct Run {
    supervisor: Supervisor,
    now: Instant,
}

impl Run {
    fn started() -> Self {
        let (supervisor, actions) = Supervisor::start(&THREE);
        assert_eq!(actions, THREE.map(Action::Start));
        Self { supervisor, now: Instant::now() }
    }

    fn ready() -> Self {
        let mut run = Self::started();
        for peer in THREE {
            run.on(Event::Ready(peer));
        }
        run
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.supervisor.handle(event, self.now)
    }

    fn die(&mut self, peer: Peer) -> Vec<Action> {
        self.on(Event::Exited(peer, Exit { how: "killed by signal 9".into(), hopeless: false }))
    }

    fn pass(&mut self, span: Duration) -> Vec<Action> {
        self.now += span;
        self.on(Event::Tick)
    }

    /// The pause that a death is followed by.
    fn pause(&mut self, peer: Peer) -> Duration {
        match self.die(peer).as_slice() {
            [Action::Say(Line::Died { restart_in, .. })] => *restart_in,
            other => panic!("a line about the death was expected, not {other:?}"),
        }
    }
}

#[test]
fn each_service_is_announced_and_then_all_of_them_once() {
    let mut run = Run::started();
    assert_eq!(run.on(Event::Ready(Peer::State)), [Action::Say(Line::Ready(Peer::State))]);
    assert_eq!(run.on(Event::Ready(Peer::Queue)), [Action::Say(Line::Ready(Peer::Queue))]);
    let last = run.on(Event::Ready(Peer::Gateway));
    assert_eq!(last, [Action::Say(Line::Ready(Peer::Gateway)), Action::Say(Line::AllReady)]);

    run.die(Peer::Queue);
    run.pass(Duration::from_secs(1));
    assert_eq!(run.on(Event::Ready(Peer::Queue)), [Action::Say(Line::Ready(Peer::Queue))], "no second AllReady");
}

#[test]
fn what_dies_is_started_again_after_a_pause() {
    let mut run = Run::ready();
    let pause = run.pause(Peer::Queue);
    assert_eq!(run.supervisor.next_tick(), Some(run.now + pause));
    assert_eq!(run.pass(pause - Duration::from_millis(1)), []);
    assert_eq!(run.pass(Duration::from_millis(1)), [Action::Start(Peer::Queue)]);
    assert_eq!(run.pass(Duration::from_secs(60)), [], "one process per service");
}

#[test]
fn pauses_grow_with_each_death_up_to_a_bound_and_are_forgiven() {
    let mut run = Run::ready();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let pause = run.pause(Peer::Queue);
        pauses.push(pause);
        run.pass(pause);
    }
    assert!(pauses.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(RESTART_AFTER_MAX)), "{pauses:?}");
    run.on(Event::Ready(Peer::Queue));
    run.now += FORGIVEN_AFTER;
    assert_eq!(run.pause(Peer::Queue), RESTART_AFTER);
}

#[test]
fn a_service_that_cannot_run_ends_it_all() {
    let mut run = Run::started();
    let actions = run.on(Event::Exited(Peer::Queue, Exit { how: "exit code 2".into(), hopeless: true }));
    assert_eq!(
        actions,
        [Action::Say(Line::Hopeless { peer: Peer::Queue, how: "exit code 2".into() }), Action::Drain(Peer::Gateway)]
    );
    assert_eq!(run.die(Peer::Gateway), [Action::Drain(Peer::State)]);
    assert_eq!(run.die(Peer::State), [Action::End(Outcome::Failed)]);
}

#[test]
fn a_configuration_broken_later_does_not_end_a_running_mesh() {
    let mut run = Run::ready();
    let actions = run.on(Event::Exited(Peer::Queue, Exit { how: "exit code 2".into(), hopeless: true }));
    assert!(matches!(actions.as_slice(), [Action::Say(Line::Died { .. })]), "{actions:?}");
}

#[test]
fn the_end_comes_in_order_each_after_the_one_before() {
    let mut run = Run::ready();
    assert_eq!(run.on(Event::Stop), [Action::Say(Line::Draining), Action::Drain(Peer::Gateway)]);
    assert_eq!(run.die(Peer::Gateway), [Action::Drain(Peer::Queue)]);
    assert_eq!(run.die(Peer::Queue), [Action::Drain(Peer::State)]);
    assert_eq!(run.die(Peer::State), [Action::End(Outcome::Stopped)]);
}

#[test]
fn what_does_not_drain_is_killed_in_time() {
    let mut run = Run::ready();
    run.on(Event::Stop);
    assert_eq!(run.supervisor.next_tick(), Some(run.now + DRAIN_WITHIN));
    assert_eq!(run.pass(DRAIN_WITHIN - Duration::from_millis(1)), []);
    let overdue = run.pass(Duration::from_millis(1));
    assert_eq!(overdue, [Action::Say(Line::Overdue(Peer::Gateway)), Action::Kill(Peer::Gateway)]);
}

#[test]
fn what_was_killed_is_waited_for_without_another_word() {
    let mut run = Run::ready();
    run.on(Event::Stop);
    run.pass(DRAIN_WITHIN);
    assert_eq!(run.supervisor.next_tick(), None, "only its exit can follow");
    assert_eq!(run.pass(DRAIN_WITHIN), []);
    assert_eq!(run.die(Peer::Gateway), [Action::Drain(Peer::Queue)]);
    assert_eq!(run.supervisor.next_tick(), Some(run.now + DRAIN_WITHIN), "the next stage has its own time");

    assert_eq!(run.on(Event::Stop), [Action::Kill(Peer::State), Action::Kill(Peer::Queue)]);
    assert_eq!(run.supervisor.next_tick(), None);
    assert_eq!(run.die(Peer::Queue), [], "who was killed is not asked to drain");
    assert_eq!(run.die(Peer::State), [Action::End(Outcome::Stopped)]);
}

#[test]
fn a_second_stop_kills_what_is_left() {
    let mut run = Run::ready();
    run.on(Event::Stop);
    run.die(Peer::Gateway);
    assert_eq!(run.on(Event::Stop), [Action::Kill(Peer::State), Action::Kill(Peer::Queue)]);
}

#[test]
fn nothing_is_started_once_the_end_was_asked_for() {
    let mut run = Run::ready();
    let pause = run.pause(Peer::Queue);
    run.on(Event::Stop);
    assert_eq!(run.pass(pause), []);
    assert_eq!(run.die(Peer::Gateway), [Action::Drain(Peer::State)], "the queue is gone already");
    assert_eq!(run.die(Peer::State), [Action::End(Outcome::Stopped)]);
}

#[test]
fn a_death_during_the_end_is_not_a_failure() {
    let mut run = Run::ready();
    run.on(Event::Stop);
    assert_eq!(run.die(Peer::State), [], "earlier than its turn");
    assert_eq!(run.die(Peer::Gateway), [Action::Drain(Peer::Queue)]);
    assert_eq!(run.die(Peer::Queue), [Action::End(Outcome::Stopped)]);
}
