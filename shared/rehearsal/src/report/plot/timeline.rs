//! Time as it is drawn: never more moments than can be seen, and the stretches of the run that are marked.

use super::Band;
use super::shape::Frame;
use crate::outcome::{Bucket, Mark, Side};
use crate::report::numbers::{clock, count, span};

/// More would not be seen.
const MOMENTS_MAX: usize = 180;
/// What a letter of a label takes, at the most.
const LETTER: f64 = 5.6;

/// What was between two times, in seconds.
#[derive(Debug)]
pub(super) struct Moment<T> {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) what: T,
}

/// Buckets, added up where there are too many.
pub(super) fn moments(series: &[Bucket]) -> Vec<Moment<Bucket>> {
    let together = series.len().div_ceil(MOMENTS_MAX).max(1);
    let added = series.chunks(together).map(|buckets| {
        let what = buckets.iter().fold(Bucket::default(), add);
        let first = buckets.first().map_or(0, |first| first.at_ms);
        Moment { from: first as f64 / 1e3, until: (first + what.length_ms) as f64 / 1e3, what }
    });
    added.collect()
}

/// What is counted adds up; what is a height, or a wait, is the greatest that was.
fn add(sum: Bucket, next: &Bucket) -> Bucket {
    Bucket {
        at_ms: if sum.length_ms == 0 { next.at_ms } else { sum.at_ms },
        length_ms: sum.length_ms + next.length_ms,
        offered: sum.offered + next.offered,
        completed: sum.completed + next.completed,
        degraded: sum.degraded + next.degraded,
        failed: sum.failed + next.failed,
        refusals: sum.refusals + next.refusals,
        provider_429: sum.provider_429 + next.provider_429,
        model_answered: sum.model_answered + next.model_answered,
        depth: sum.depth.max(next.depth),
        wait_p50_ms: sum.wait_p50_ms.max(next.wait_p50_ms),
        wait_p99_ms: sum.wait_p99_ms.max(next.wait_p99_ms),
        workers_stalled: sum.workers_stalled.max(next.workers_stalled),
        workers_busy: sum.workers_busy.max(next.workers_busy),
    }
}

/// What a moment of the run came to, in words and numbers.
#[derive(Debug)]
pub(in crate::report) struct Entry {
    pub(in crate::report) at: String,
    pub(in crate::report) values: [String; 10],
}

/// The moments of a side, for who wants to read what is drawn.
pub(in crate::report) fn entries(side: &Side) -> Vec<Entry> {
    let entry = |Moment { from, what, .. }: Moment<Bucket>| Entry {
        at: clock((from * 1e3) as u64),
        values: [
            count(what.offered),
            count(what.completed),
            count(what.failed),
            count(what.refusals),
            count(what.depth),
            span(what.wait_p50_ms),
            span(what.wait_p99_ms),
            count(what.provider_429),
            count(what.workers_busy),
            count(what.workers_stalled),
        ],
    };
    moments(&side.series).into_iter().map(entry).collect()
}

/// A part of the run that is marked in each plot.
#[derive(Debug, PartialEq)]
pub(in crate::report) struct Stretch {
    from: f64,
    until: f64,
    is_fault: bool,
    /// What stands over it in the plots.
    pub(in crate::report) letter: String,
    /// What it is.
    pub(in crate::report) text: String,
    /// When it is.
    pub(in crate::report) when: String,
}

/// The stretches of a side, each with a letter.
pub(in crate::report) fn stretches(side: &Side) -> Vec<Stretch> {
    let stretch = |(index, mark): (usize, &Mark)| Stretch {
        from: mark.from_ms as f64 / 1e3,
        until: mark.until_ms as f64 / 1e3,
        is_fault: mark.fault,
        letter: letter(index),
        text: mark.text.clone(),
        when: format!("{} to {}", clock(mark.from_ms), clock(mark.until_ms)),
    };
    side.marks.iter().enumerate().map(stretch).collect()
}

/// A, B, …, Z, A1, B1, …
fn letter(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    if index < 26 { letter.to_string() } else { format!("{letter}{}", index / 26) }
}

impl Stretch {
    pub(super) fn band(&self, frame: &Frame) -> Band {
        let (from, until) = (frame.across(self.from), frame.across(self.until));
        let fits = (self.letter.len() + 1 + self.text.chars().count()) as f64 * LETTER + 6.0 <= until - from;
        Band {
            class: if self.is_fault { "fault" } else { "phase" },
            x: frame.x(self.from),
            width: format!("{:.1}", (until - from).max(1.0)),
            label: if fits { format!("{} {}", self.letter, self.text) } else { self.letter.clone() },
            text: format!("{}, {}", self.text, self.when),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(index: u64) -> Bucket {
        Bucket { at_ms: index * 100, length_ms: 100, offered: 2, depth: index % 7, ..Bucket::default() }
    }

    #[test]
    fn a_long_run_is_drawn_by_fewer_moments_that_hold_as_much() {
        let series: Vec<_> = (0..1_000).map(bucket).collect();
        let moments = moments(&series);
        assert!(moments.len() <= MOMENTS_MAX && moments.len() > MOMENTS_MAX / 2, "{}", moments.len());
        assert_eq!(moments.iter().map(|moment| moment.what.offered).sum::<u64>(), 2_000);
        assert!(moments.iter().all(|moment| moment.what.depth == 5 || moment.what.depth == 6));
        assert!(moments.windows(2).all(|pair| pair[0].until == pair[1].from));
    }

    #[test]
    fn a_short_run_is_drawn_as_it_is() {
        let moments = moments(&[bucket(0), bucket(1)]);
        assert_eq!(
            moments.iter().map(|moment| (moment.from, moment.until)).collect::<Vec<_>>(),
            [(0.0, 0.1), (0.1, 0.2)]
        );
    }

    #[test]
    fn there_are_letters_enough() {
        assert_eq!([letter(0), letter(25), letter(26)], ["A", "Z", "A1"]);
    }

    #[test]
    fn a_band_is_named_in_full_only_where_its_name_fits() {
        let stretch = |until| Stretch {
            from: 0.0,
            until,
            is_fault: true,
            letter: "A".into(),
            text: "state is gone".into(),
            when: String::new(),
        };
        let frame = Frame { time: 10.0, height: 1.0 };
        assert_eq!(stretch(9.0).band(&frame).label, "A state is gone");
        assert_eq!(stretch(1.0).band(&frame).label, "A");
    }
}
