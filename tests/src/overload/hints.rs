use std::time::{Duration, Instant};

use crate::load::Spread;

/// How refusals' hints compare with what was true.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Each hint as a multiple of the true wait.
    pub(super) of_true: Spread,
    /// How far each is from it, either way.
    pub(super) off: Spread,
}

/// Compares the hint of each refusal with the true wait of the one that was accepted nearest to it in time. Both are in the
/// order in which they were sent.
pub(super) fn judge(
    refusals: impl Iterator<Item = (Instant, Duration)>,
    accepted: &[(Instant, Option<Duration>)],
) -> Hints {
    let compare = |(sent, hint): (Instant, Duration)| {
        let wait = nearest(accepted, sent)?.1?.as_secs_f64();
        (wait > 0.0).then(|| hint.as_secs_f64() / wait)
    };
    let of_true: Vec<f64> = refusals.filter_map(compare).collect();
    Hints { off: of_true.iter().map(|ratio| (ratio - 1.0).abs()).collect(), of_true: of_true.into_iter().collect() }
}

fn nearest(accepted: &[(Instant, Option<Duration>)], at: Instant) -> Option<&(Instant, Option<Duration>)> {
    let after = accepted.partition_point(|(sent, _)| *sent < at);
    let near = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|index| accepted.get(index));
    near.min_by_key(|(sent, _)| sent.max(&at).duration_since(*sent.min(&at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_compared_with_the_accepted_one_nearest_in_time() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let accepted = [(at(0), Some(Duration::from_secs(1))), (at(100), Some(Duration::from_secs(2)))];
        let hints = judge([(at(40), Duration::from_secs(1)), (at(60), Duration::from_secs(1))].into_iter(), &accepted);
        assert_eq!((hints.of_true.below(0.0), hints.of_true.median()), (0.5, 1.0));
        assert_eq!((hints.off.below(0.0), hints.off.median()), (0.0, 0.5));
    }

    #[test]
    fn without_anything_accepted_there_is_nothing_to_compare() {
        assert!(judge([(Instant::now(), Duration::ZERO)].into_iter(), &[]).off.is_empty());
    }
}
