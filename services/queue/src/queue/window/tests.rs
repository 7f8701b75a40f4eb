use proptest::prelude::*;

use super::{
    read::{CROWDED_OUT, keys},
    *,
};

mod world;

use world::World;

const ME: WriterId = 5;
const OTHER: WriterId = 4;

pub(super) fn line(agent: &str, tenant: &str) -> Line {
    Line { agent: agent.into(), tenant: tenant.into(), priority: 0 }
}

pub(super) fn candidate(writer: WriterId, rank: i64, line: Line) -> Candidate {
    Candidate {
        key: ReadyKey { writer, rank },
        id: Uuid::from_u128(((writer as u128) << 64) | rank as u128),
        line,
        ready_at: rank * 10,
        accepted_at: rank * 10,
        bytes: 1,
    }
}

fn small() -> Bounds {
    Bounds { line_max: 4, total_max: 10, lines_max: 100, margin: 0 }
}

fn window(bounds: Bounds) -> Window {
    let mut window = Window::new(ME, bounds, Cursors::from([(ME, 0), (OTHER, 0)]));
    window.begin_scan();
    window.scanned(Some(&[]));
    window.want(&"a".into());
    window
}

fn fill(window: &mut Window, writer: WriterId, ranks: std::ops::RangeInclusive<i64>) -> usize {
    ranks.filter(|rank| window.came(candidate(writer, *rank, line("a", "t"))).is_some()).count()
}

#[test]
fn what_becomes_ready_joins_until_the_line_is_full_and_the_rest_is_read_later() {
    let mut window = window(small());
    assert_eq!(fill(&mut window, ME, 1..=6), 4);
    assert!(window.has_more("a") && !window.is_needy(), "what is held is not used up yet");
    for rank in 1..=2 {
        let id = candidate(ME, rank, line("a", "t")).id;
        assert_eq!(window.claim(id), Some(ReadyKey { writer: ME, rank }));
        window.answered(id, true);
    }
    let read = window.next_read().expect("half of it is used up");
    assert_eq!(read.after, [(OTHER, 0), (ME, 4)].map(|(writer, rank)| ReadyKey { writer, rank }));
    let found = (5..=6).map(|rank| candidate(ME, rank, line("a", "t"))).collect();
    assert_eq!(window.read(&read, found).come.len(), 2);
}

#[test]
fn a_line_that_was_read_to_its_end_is_complete_again() {
    let mut window = window(small());
    fill(&mut window, ME, 1..=5);
    for rank in 1..=4 {
        window.forget(candidate(ME, rank, line("a", "t")).id);
    }
    let read = window.next_read().unwrap();
    window.read(&read, vec![candidate(ME, 5, line("a", "t"))]);
    assert!(!window.has_more("a"));
    assert_eq!(fill(&mut window, ME, 6..=6), 1, "what comes next joins at once");
}

#[test]
fn what_becomes_ready_while_its_line_is_read_is_not_missed() {
    let mut window = window(small());
    fill(&mut window, ME, 1..=5);
    for rank in 1..=4 {
        window.forget(candidate(ME, rank, line("a", "t")).id);
    }
    let read = window.next_read().unwrap();
    // The store was read before this.
    assert_eq!(fill(&mut window, ME, 6..=6), 0);
    window.read(&read, vec![candidate(ME, 5, line("a", "t"))]);
    assert!(window.has_more("a"));
}

#[test]
fn a_type_that_nobody_asks_for_is_only_marked() {
    let mut window = window(small());
    assert!(window.came(candidate(OTHER, 1, line("b", "t"))).is_none());
    assert!(window.held.is_empty() && !window.is_needy());
    window.want(&"b".into());
    let read = window.next_read().expect("now somebody asks");
    assert_eq!(read.line.agent, "b");
}

#[test]
fn what_is_not_asked_for_any_more_is_let_go_and_found_again() {
    let mut window = window(small());
    fill(&mut window, ME, 1..=3);
    window.claim(candidate(ME, 1, line("a", "t")).id);
    let gone = window.want_only(&HashSet::new());
    assert_eq!(gone.len(), 2, "what is being claimed is still to be answered");
    window.answered(candidate(ME, 1, line("a", "t")).id, true);
    window.want(&"a".into());
    let read = window.next_read().unwrap();
    let found = (2..=3).map(|rank| candidate(ME, rank, line("a", "t"))).collect();
    assert_eq!(window.read(&read, found).come.len(), 2);
}

#[test]
fn among_others_a_line_is_read_again_from_its_start_and_what_they_took_is_dropped() {
    let mut window = window(Bounds { line_max: 8, ..small() });
    window.set_crowded(true);
    fill(&mut window, OTHER, 1..=9);
    for rank in [2, 5] {
        let id = candidate(OTHER, rank, line("a", "t")).id;
        window.claim(id);
        window.answered(id, false);
    }
    let read = window.next_read().expect("a quarter of it was found to be taken");
    assert!(read.after.contains(&ReadyKey { writer: OTHER, rank: 0 }), "{:?}", read.after);
    let found = [1, 7, 8, 9].map(|rank| candidate(OTHER, rank, line("a", "t"))).to_vec();
    let changes = window.read(&read, found);
    let gone: Vec<Uuid> = [3, 4, 6].map(|rank| candidate(OTHER, rank, line("a", "t")).id).to_vec();
    assert_eq!(changes.gone, gone);
    assert_eq!(changes.come.len(), 1);
}

/// The same invocation at another place: it was taken, and is back.
fn back(of: &Candidate, writer: WriterId, rank: i64) -> Candidate {
    Candidate { key: ReadyKey { writer, rank }, ..of.clone() }
}

#[test]
fn what_comes_back_while_it_is_claimed_leaves_nothing_behind() {
    let mut window = window(small());
    let one = candidate(OTHER, 1, line("a", "t"));
    assert!(window.came(one.clone()).is_some());
    assert_eq!(window.claim(one.id), Some(one.key));
    let again = back(&one, OTHER, 2);
    assert!(window.came(again.clone()).is_none());
    window.answered(one.id, false);
    let read = window.next_read().expect("nothing is held, and there is more");
    assert_eq!(window.read(&read, vec![again]).come.len(), 1);
    assert_eq!(window.claim(one.id), Some(ReadyKey { writer: OTHER, rank: 2 }));
    window.answered(one.id, true);
    assert!(window.lines.is_empty() && window.held.is_empty(), "it is held once, and goes once");
}

#[test]
fn what_comes_back_before_it_is_tried_is_held_at_its_new_place_alone() {
    let mut window = window(small());
    let one = candidate(OTHER, 1, line("a", "t"));
    window.came(one.clone());
    assert!(window.came(back(&one, OTHER, 2)).is_none(), "it is in the schedule already");
    assert_eq!(window.claim(one.id), Some(ReadyKey { writer: OTHER, rank: 2 }));
    window.answered(one.id, false);
    assert!(window.lines.is_empty() && window.held.is_empty());
}

#[test]
fn what_ran_and_came_back_while_its_line_was_read_is_not_taken_for_what_left() {
    let mut window = window(small());
    fill(&mut window, OTHER, 1..=6);
    let one = candidate(OTHER, 1, line("a", "t"));
    for rank in 2..=3 {
        window.claim(candidate(OTHER, rank, line("a", "t")).id);
        window.answered(candidate(OTHER, rank, line("a", "t")).id, true);
    }
    let read = window.next_read().expect("half of it is used up");
    window.claim(one.id);
    window.answered(one.id, true);
    let again = back(&one, OTHER, 7);
    assert!(window.came(again.clone()).is_none(), "its line has more, and is being read");
    let found = vec![candidate(OTHER, 5, line("a", "t")), again];
    assert_eq!(window.read(&read, found).come.len(), 2);
}

#[test]
fn a_line_that_nobody_wants_any_more_may_be_found_empty() {
    let mut window = window(small());
    fill(&mut window, OTHER, 1..=5);
    for rank in 1..=4 {
        window.claim(candidate(OTHER, rank, line("a", "t")).id);
        window.answered(candidate(OTHER, rank, line("a", "t")).id, true);
    }
    let read = window.next_read().expect("nothing is held, and there is more");
    assert!(window.want_only(&HashSet::new()).is_empty());
    assert!(window.read(&read, Vec::new()).come.is_empty());
    assert!(window.lines.is_empty());
}

/// Reads a line from its beginning, of whose writers some have been seen before.
fn read_anew(window: &mut Window, ranks: impl IntoIterator<Item = i64>) -> Read {
    window.scanned(Some(&[line("a", "t")]));
    let read = window.next_read().expect("all that has something is read");
    let found = ranks.into_iter().map(|rank| candidate(OTHER, rank, line("a", "t"))).collect();
    window.read(&read, found);
    read
}

#[test]
fn a_line_is_never_read_again_over_what_was_taken_long_ago() {
    let mut window = Window::new(ME, small(), Cursors::from([(ME, 40), (OTHER, 900)]));
    window.want(&"a".into());
    assert!(read_anew(&mut window, [700, 800]).after.is_empty(), "nothing is known of it");
    for rank in [700, 800] {
        window.forget(candidate(OTHER, rank, line("a", "t")).id);
    }
    assert!(window.lines.is_empty(), "nothing of it is left in sight");
    let read = read_anew(&mut window, []);
    assert_eq!(read.after, keys(&Cursors::from([(ME, 40), (OTHER, 699)])));
    assert_eq!(read_anew(&mut window, []).after, keys(&Cursors::from([(ME, 40), (OTHER, 900)])));
}

#[test]
fn a_line_that_cannot_be_read_from_its_beginning_is_read_on_from_where_it_was_seen() {
    let mut window = window(small());
    fill(&mut window, OTHER, 1..=5);
    window.scanned(Some(&[line("a", "t")]));
    for rank in 1..=4 {
        window.forget(candidate(OTHER, rank, line("a", "t")).id);
    }
    let read = window.next_read().expect("nothing is held, and there is more");
    assert!(read.anew && read.after.is_empty());
    window.unread(&read);
    let read = window.next_read().expect("it still has more");
    assert!(!read.anew);
    assert_eq!(read.after.iter().find(|key| key.writer == OTHER).map(|key| key.rank), Some(4));
}

#[test]
fn two_processes_try_in_different_orders() {
    let order = |me: WriterId| {
        let mut joined: Vec<(i64, i64, i64)> = (1..=100)
            .map(|rank| {
                let (delay, order) = order::own(candidate(9, rank, line("a", "t")).id, me, 1_000);
                (rank * 10 + delay, order, rank)
            })
            .collect();
        joined.sort_unstable();
        joined.into_iter().map(|(_, _, rank)| rank).collect::<Vec<_>>()
    };
    let (one, other) = (order(1), order(2));
    let first = |order: &[i64]| order[..20].iter().copied().collect::<HashSet<_>>();
    let both = first(&one).intersection(&first(&other)).count();
    assert!(both <= 12, "{both} of 20 would be tried by both");
}

#[test]
fn a_line_that_ran_dry_is_read_first() {
    let mut window = window(small());
    fill(&mut window, ME, 1..=5);
    window.forget(candidate(ME, 1, line("a", "t")).id);
    window.forget(candidate(ME, 2, line("a", "t")).id);
    window.scanned(Some(&[line("a", "z")]));
    assert_eq!(window.next_read().unwrap().line.tenant, "z");
    assert_eq!(window.next_read().unwrap().line.tenant, "t");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_ready_is_missed_and_little_is_held(
        steps in proptest::collection::vec((0_u8..14, any::<u32>()), 1..400),
        lines_max in 3_usize..6,
    ) {
        let mut world = World::new(Bounds { line_max: 4, total_max: 10, lines_max, margin: 0 });
        for (step, dice) in steps {
            world.step(step, dice as usize);
            world.check();
        }
        world.drain();
        prop_assert_eq!(world.ready(), 0, "everything that was ready is claimed in the end");
    }
}
