use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{Budget, Day, Kept, Reservation, Short};

const DAY: i64 = 24 * 3_600 * 1_000_000;

fn day(number: i64) -> Day {
    Day::of(number * DAY)
}

#[test]
fn calls_at_once_cannot_pass_a_budget_together() {
    let mut budget = Budget::new(100, Day::ALWAYS);
    let first = budget.reserve(60, Day::ALWAYS).expect("it fits");
    let refused = budget.reserve(60, Day::ALWAYS).expect_err("the first may still need it");
    assert_eq!((refused.used, refused.needed, refused.limit, refused.why), (60, 60, 100, Short::UnderWay));
    budget.settle(first, 10);
    assert!(budget.reserve(60, Day::ALWAYS).is_ok(), "it needed less");
}

#[test]
fn what_a_call_is_short_of_is_told_apart() {
    let mut budget = Budget::new(100, Day::ALWAYS);
    assert_eq!(budget.reserve(101, Day::ALWAYS).map_err(|spent| spent.why), Err(Short::Never));
    let call = budget.reserve(50, Day::ALWAYS).expect("it fits");
    budget.settle(call, 50);
    assert_eq!(budget.reserve(51, Day::ALWAYS).map_err(|spent| spent.why), Err(Short::Used));
    assert!(budget.reserve(50, Day::ALWAYS).is_ok(), "to the last token");
}

#[test]
fn a_call_that_used_more_than_estimated_counts_in_full() {
    let mut budget = Budget::new(100, Day::ALWAYS);
    let call = budget.reserve(10, Day::ALWAYS).expect("it fits");
    budget.settle(call, 150);
    assert_eq!(budget.reserve(1, Day::ALWAYS).map_err(|spent| spent.used), Err(150));
}

#[test]
fn a_new_day_is_a_new_budget_and_a_clock_set_back_reopens_none() {
    let mut budget = Budget::new(100, day(5));
    let late = budget.reserve(80, day(5)).expect("it fits");
    let call = budget.reserve(100, day(6)).expect("another day");
    budget.settle(late, 80);
    assert_eq!(budget.mine(), 100, "what began yesterday counts yesterday");
    budget.settle(call, 100);
    assert!(budget.reserve(1, day(5)).is_err(), "yesterday does not come back");
}

#[test]
fn what_is_kept_of_a_later_day_counts() {
    let mut budget = Budget::new(100, day(5));
    budget.heard(Kept { day: day(6), own: 0, others: 100 });
    assert!(budget.reserve(1, day(5)).is_err(), "the clock was set back: that day is spent");
    assert_eq!(budget.day(), day(6));
}

#[test]
fn what_was_used_before_anything_was_known_is_not_lost() {
    let mut budget = Budget::new(100, day(5));
    let call = budget.reserve(30, day(5)).expect("it fits");
    budget.settle(call, 30);
    let open = budget.reserve(5, day(5)).expect("it fits");
    assert_eq!(budget.heard(Kept { day: day(6), own: 20, others: 40 }), Some(55), "its own of before, and since");
    budget.settle(open, 1);
    assert_eq!(budget.mine(), 51);
    assert_eq!(budget.reserve(10, day(6)).map_err(|spent| spent.used), Err(91));
    assert_eq!(budget.heard(Kept { day: day(6), own: 51, others: 40 }), None, "it is kept");
}

#[test]
fn records_of_one_day_are_added_up() {
    let records = [(day(5), true, 7), (day(6), false, 2), (day(6), true, 3), (day(5), false, 9), (day(6), false, 4)];
    assert_eq!(Kept::of(records), Kept { day: day(6), own: 3, others: 6 });
    assert_eq!(Kept::of([]), Kept::nothing(Day::ALWAYS));
}

#[test]
fn a_day_ends_at_midnight() {
    let noon = 6 * DAY + DAY / 2;
    assert_eq!(Day::of(noon), day(6));
    assert_eq!(day(6).left(noon), Duration::from_secs(12 * 3_600));
    assert_eq!(day(6).left(7 * DAY + 1), Duration::ZERO);
}

/// An event of a budget's life; indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Event {
    Reserve(u64),
    Settle(usize, u64),
    Day(u8),
    Heard { ahead: i8, others: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..40_u64).prop_map(Event::Reserve),
        3 => (any::<usize>(), 0..60_u64).prop_map(|(which, used)| Event::Settle(which, used)),
        1 => (0..3_u8).prop_map(Event::Day),
        1 => (-1..2_i8, 0..50_u64).prop_map(|(ahead, others)| Event::Heard { ahead, others }),
    ]
}

/// All calls there ever were, and nothing but additions.
#[derive(Default)]
struct Plain {
    calls: Vec<(i64, u64)>,
    others: u64,
    day: i64,
}

impl Plain {
    fn used(&self) -> u64 {
        let today = self.calls.iter().filter(|(day, _)| *day == self.day);
        today.map(|(_, tokens)| tokens).sum::<u64>() + self.others
    }

    fn turn(&mut self, day: i64) {
        if day > self.day {
            (self.day, self.others) = (day, 0);
        }
    }
}

proptest! {
    #[test]
    fn it_is_what_plain_addition_says(limit in 1..120_u64, events in vec(event(), 1..80)) {
        let mut budget = Budget::new(limit, day(10));
        let mut plain = Plain { day: 10, ..Plain::default() };
        let mut open: Vec<(usize, Reservation)> = Vec::new();
        // What is kept is read before the first call.
        prop_assert_eq!(budget.heard(Kept::nothing(day(10))), None);
        let mut wall = 10;
        for event in events {
            match event {
                Event::Reserve(tokens) => {
                    plain.turn(wall);
                    let fits = plain.used() + tokens <= limit;
                    match budget.reserve(tokens, day(wall)) {
                        Ok(reservation) => {
                            prop_assert!(fits);
                            open.push((plain.calls.len(), reservation));
                            plain.calls.push((plain.day, tokens));
                        }
                        Err(spent) => {
                            prop_assert!(!fits);
                            prop_assert_eq!((spent.used, spent.needed), (plain.used(), tokens));
                        }
                    }
                }
                Event::Settle(which, used) if !open.is_empty() => {
                    let (call, reservation) = open.swap_remove(which % open.len());
                    plain.calls[call].1 = used;
                    budget.settle(reservation, used);
                }
                Event::Settle(..) => {}
                // The wall clock goes on, stands, or is set back.
                Event::Day(step) => wall += i64::from(step) - 1,
                Event::Heard { ahead, others } => {
                    let kept = plain.day + i64::from(ahead);
                    plain.turn(kept);
                    plain.others = if kept < plain.day { 0 } else { others };
                    budget.heard(Kept { day: day(kept), own: 0, others });
                }
            }
            prop_assert_eq!(budget.mine() + plain.others, plain.used());
        }
        open.into_iter().for_each(|(_, reservation)| budget.settle(reservation, 0));
        prop_assert!(budget.rests_at(budget.mine()));
    }
}
