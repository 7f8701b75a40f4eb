//! One process's stock against what the ledger may say.

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 100 may be used together, and 3 alone.
fn stock() -> Stock {
    Stock::new(Counted::Window(WINDOW), 100, 3)
}

/// A round that is answered at once.
fn round(stock: &mut Stock, now: Duration, more: u64) -> Report {
    let told = stock.report(now);
    let granted = stock.hand.granted + more;
    stock.granted(now, now, &told, &Granted { granted, ..Granted::default() });
    told
}

#[test]
fn what_was_granted_is_used_only_while_the_lease_lasts() {
    let mut stock = stock();
    round(&mut stock, ms(0), 50);
    assert_eq!(stock.available(ms(999)), 50);
    assert_eq!(stock.available(ms(1_000)), 3, "its share of the reserve");
    stock.reserve(ms(1_000), 3);
    stock.arrive(ms(1_001), 3);
    assert_eq!(stock.available(ms(11_001)), 0, "that counts for a window, too");
    assert_eq!(stock.available(ms(11_002)), 3);
    round(&mut stock, ms(12_000), 0);
    assert_eq!(stock.available(ms(12_000)), 50, "the ledger knows it still");
}

#[test]
fn whoever_is_cut_off_need_not_wait_for_the_end_of_the_lease_and_uses_no_more_than_both() {
    let mut stock = stock();
    round(&mut stock, ms(0), 2);
    stock.cut_off();
    assert_eq!((stock.available(ms(1)), stock.outlook(ms(1)).0), (3, 3), "the larger of the two, for one call");
    stock.reserve(ms(1), 3);
    assert_eq!(stock.available(ms(2)), 2, "what is in hand is left");
    stock.reserve(ms(2), 2);
    assert_eq!(stock.available(ms(3)), 0);
    stock.arrive(ms(4), 5);
    assert_eq!(stock.next_change(ms(4)), Some(ms(1_000)), "then there is the share alone");
    assert_eq!(stock.available(ms(1_000)), 0, "which is used for one window");
    assert_eq!(stock.report(ms(1_000)).settled, 2, "and of which the ledger is not told");
    round(&mut stock, ms(1_100), 0);
    assert_eq!(stock.available(ms(1_200)), 0, "it answers: its share is nobody's again");
    assert_eq!((stock.available(ms(10_004)), stock.available(ms(10_005))), (0, 3));
}

#[test]
fn a_lease_counts_from_before_it_was_asked_for() {
    let mut stock = stock();
    let told = stock.report(ms(0));
    stock.granted(ms(900), ms(0), &told, &Granted { granted: 50, ..Granted::default() });
    assert_eq!(stock.available(ms(999)), 50);
    assert_eq!(stock.available(ms(1_000)), 3);
}

#[test]
fn whoever_ends_in_good_order_gives_back_what_is_free() {
    let mut stock = stock();
    round(&mut stock, ms(0), 10);
    stock.reserve(ms(1), 4);
    stock.withdraw();
    assert_eq!(stock.report(ms(2)).returned, 6);
}

#[test]
fn no_amount_is_too_much_to_count() {
    let mut stock = stock();
    round(&mut stock, ms(0), 50);
    stock.reserve(ms(1), u64::MAX);
    stock.charge(ms(1), u64::MAX);
    assert_eq!(stock.available(ms(2)), 0);
    stock.release(ms(3), u64::MAX);
    stock.rejoin(ms(4));
}

#[test]
fn a_lost_answer_neither_loses_nor_doubles_anything() {
    let mut stock = stock();
    round(&mut stock, ms(0), 10);
    stock.reserve(ms(1), 4);
    stock.arrive(ms(2), 4);
    let lost = stock.report(ms(3));
    stock.reserve(ms(4), 2);
    stock.arrive(ms(5), 2);
    let told = stock.report(ms(6));
    assert_eq!((lost.settled, told.settled), (4, 6), "totals");
    assert_eq!(told.settled_at, ms(5), "as of the latest");
}

#[test]
fn whoever_joins_again_holds_what_is_still_on_its_way() {
    let mut stock = stock();
    round(&mut stock, ms(0), 10);
    stock.reserve(ms(1), 4);
    stock.charge(ms(2), 8);
    stock.rejoin(ms(3_000));
    let told = stock.report(ms(3_000));
    // Six of the eight were in hand, and are counted as used by the ledger; it was never told of the other two.
    assert_eq!((told.over, told.settled), (6, 2));
    assert_eq!(stock.available(ms(3_000)), 3);
    stock.arrive(ms(3_001), 4);
    assert_eq!(stock.report(ms(3_002)).settled, 6);
}

#[test]
fn no_more_is_wished_for_than_a_small_part_of_the_limit_or_two_calls() {
    let mut stock = stock();
    stock.demanded(ms(0), 80, 1);
    assert_eq!(stock.report(ms(0)).want, 2);
    stock.demanded(ms(0), 80, 30);
    let told = stock.report(ms(0));
    assert_eq!((told.want, told.chunk), (60, 30));
    let mut large = Stock::new(Counted::Window(WINDOW), 10_000, 0);
    large.demanded(ms(0), 5_000, 1);
    assert_eq!(large.report(ms(0)).want, 100);
}

#[test]
fn what_idles_is_given_back_as_soon_as_others_want_it() {
    let mut stock = stock();
    round(&mut stock, ms(0), 2);
    assert_eq!(stock.due(ms(0)), None, "nobody else wants it");
    let told = stock.report(ms(300));
    stock.granted(ms(300), ms(300), &told, &Granted { granted: 2, others: 1, ..Granted::default() });
    assert_eq!(stock.due(ms(301)), Some(ms(301)));
    assert_eq!(stock.report(ms(301)).returned, 2);
    assert_eq!(stock.available(ms(301)), 0);
}

#[test]
fn places_beyond_its_share_are_let_go_as_they_come_free() {
    let mut stock = Stock::new(Counted::Places, 20, 0);
    round(&mut stock, ms(10_000), 20);
    stock.reserve(ms(10_001), 20);
    stock.demanded(ms(10_001), 10, 1);
    let told = stock.report(ms(10_002));
    stock.granted(ms(10_002), ms(10_002), &told, &Granted { granted: 20, others: 1, let_go: 1, ..Granted::default() });
    stock.release(ms(10_003), 1);
    assert_eq!(stock.available(ms(10_003)), 0, "somebody else's now");
    assert_eq!(stock.due(ms(10_003)).map(|due| due <= ms(10_003)), Some(true), "who is told at once");
    stock.release(ms(10_004), 1);
    assert_eq!(stock.available(ms(10_004)), 1, "the next is its own");
}

#[test]
fn what_turns_out_to_be_less_is_free_at_once_or_told() {
    let mut stock = stock();
    round(&mut stock, ms(0), 10);
    stock.reserve(ms(1), 8);
    stock.arrive(ms(2), 8);
    stock.correct(ms(2), 5);
    assert_eq!(stock.available(ms(3)), 7, "nobody was told");
    assert_eq!(round(&mut stock, ms(4), 0).settled, 3);
    stock.correct(ms(2), 2);
    assert_eq!(stock.report(ms(5)).corrections, [(ms(2), 2)]);
    assert!(stock.report(ms(6)).corrections.is_empty(), "told once");
}
