//! Where a value stands on the paper, and lines through values.

use std::fmt::Write;

use super::timeline::Moment;

/// The paper and the part of it that is drawn on; the template knows the same numbers by this.
#[derive(Debug)]
pub(in crate::report) struct Frame {
    /// Seconds from left to right.
    pub(super) time: f64,
    /// From bottom to top.
    pub(super) height: f64,
}

/// Of a bar's place, so much is bar.
const BAR: f64 = 0.84;

impl Frame {
    pub(in crate::report) const WIDTH: f64 = 460.0;
    pub(in crate::report) const HEIGHT: f64 = 208.0;
    pub(in crate::report) const LEFT: f64 = 44.0;
    pub(in crate::report) const RIGHT: f64 = 446.0;
    pub(in crate::report) const TOP: f64 = 34.0;
    pub(in crate::report) const BOTTOM: f64 = 182.0;

    /// A time's place from the left.
    pub(super) fn x(&self, seconds: f64) -> String {
        place(self.across(seconds))
    }

    /// A value's place from the top.
    pub(super) fn y(&self, value: f64) -> String {
        place(self.down(value))
    }

    pub(super) fn across(&self, seconds: f64) -> f64 {
        Self::LEFT + (seconds / self.time).clamp(0.0, 1.0) * (Self::RIGHT - Self::LEFT)
    }

    fn down(&self, value: f64) -> f64 {
        Self::BOTTOM - (value / self.height).clamp(0.0, 1.0) * (Self::BOTTOM - Self::TOP)
    }

    /// A line through the middles of moments, broken where there is nothing to know.
    pub(super) fn line<T>(&self, moments: &[Moment<T>], of: impl Fn(&T) -> Option<f64>) -> String {
        self.runs(moments, of).fold(String::new(), |path, run| path + &self.through(&run))
    }

    /// What is under such a line.
    pub(super) fn area<T>(&self, moments: &[Moment<T>], of: impl Fn(&T) -> Option<f64>) -> String {
        let (mut path, floor) = (String::new(), place(Self::BOTTOM));
        for run in self.runs(moments, of) {
            if let [(first, _), .., (last, _)] = run[..] {
                write!(path, "{}V{floor}H{}Z", self.through(&run), place(first)).ok();
                debug_assert!(first <= last);
            }
        }
        path
    }

    /// A bar for each moment in which there was something.
    pub(super) fn bars<T>(&self, moments: &[Moment<T>], of: impl Fn(&T) -> Option<f64>) -> String {
        let (mut path, floor) = (String::new(), place(Self::BOTTOM));
        for moment in moments {
            let Some(value) = of(&moment.what).filter(|value| *value > 0.0) else { continue };
            let (from, until) = (self.across(moment.from), self.across(moment.until));
            let apart = (until - from) * (1.0 - BAR) / 2.0;
            let (left, right) = (place(from + apart), place(until - apart));
            write!(path, "M{left} {floor}V{}H{right}V{floor}Z", self.y(value)).ok();
        }
        path
    }

    /// Points that follow each other without a gap.
    fn runs<T>(&self, moments: &[Moment<T>], of: impl Fn(&T) -> Option<f64>) -> impl Iterator<Item = Vec<(f64, f64)>> {
        let points = moments.iter().map(|moment| {
            let middle = f64::midpoint(moment.from, moment.until);
            of(&moment.what).map(|value| (self.across(middle), self.down(value)))
        });
        let points: Vec<_> = points.collect();
        let runs = points.split(Option::is_none).map(|run| run.iter().flatten().copied().collect::<Vec<_>>());
        runs.filter(|run| !run.is_empty()).collect::<Vec<_>>().into_iter()
    }

    fn through(&self, run: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (index, (x, y)) in run.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            write!(path, "{command}{} {}", place(*x), place(*y)).ok();
        }
        // A lonely point is a dot: a line without length, which round ends make visible.
        if run.len() == 1 { path + "h0" } else { path }
    }
}

fn place(at: f64) -> String {
    ((at * 10.0).round() / 10.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { time: 4.0, height: 10.0 };

    fn moments(values: &[Option<f64>]) -> Vec<Moment<Option<f64>>> {
        let moment =
            |(at, what): (usize, &Option<f64>)| Moment { from: at as f64, until: at as f64 + 1.0, what: *what };
        values.iter().enumerate().map(moment).collect()
    }

    #[test]
    fn nothing_is_at_the_bottom_and_the_most_at_the_top() {
        assert_eq!((FRAME.y(0.0), FRAME.y(10.0), FRAME.y(99.0)), ("182".into(), "34".into(), "34".into()));
        assert_eq!((FRAME.x(0.0), FRAME.x(4.0)), ("44".into(), "446".into()));
    }

    #[test]
    fn a_line_breaks_where_nothing_is_known_and_a_lonely_point_is_seen() {
        let path = FRAME.line(&moments(&[Some(0.0), Some(10.0), None, Some(5.0)]), |value| *value);
        assert_eq!(path, "M94.3 182L194.8 34M395.8 108h0");
    }

    #[test]
    fn an_area_stands_on_the_bottom() {
        let path = FRAME.area(&moments(&[Some(10.0), Some(10.0)]), |value| *value);
        assert_eq!(path, "M94.3 34L194.8 34V182H94.3Z");
    }

    #[test]
    fn where_there_was_nothing_stands_no_bar() {
        let path = FRAME.bars(&moments(&[Some(0.0), Some(5.0)]), |value| *value);
        assert_eq!(path.matches('M').count(), 1);
    }
}
