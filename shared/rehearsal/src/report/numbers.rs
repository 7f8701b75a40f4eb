//! Numbers for people, with their units. None is rounded to what would be a promise: what is not all is never 100%.

/// Between a number and its unit, where no line may end.
const SPACE: char = '\u{a0}';
/// The sign of what is less than nothing.
const MINUS: char = '\u{2212}';

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    Count,
    /// A part of a whole, from 0 to 1.
    Share,
    /// Things in a second.
    PerSecond,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// Whether it is a time, which is another one on the day that was rehearsed.
    pub(super) const fn is_time(self) -> bool {
        matches!(self, Self::Millis | Self::Seconds)
    }

    /// A number of it.
    pub(super) fn write(self, number: f64) -> String {
        match self {
            Self::Count => count(number.round() as u64),
            Self::Share => share(number),
            Self::PerSecond => format!("{}{SPACE}/s", decimal(number)),
            Self::Millis => span(number),
            Self::Seconds => span(number * 1e3),
        }
    }

    /// How much more it is, or less.
    pub(super) fn difference(self, from: f64, to: f64) -> String {
        let apart = (to - from).abs();
        let written = match self {
            Self::Share => format!("{}{SPACE}points", decimal_2(apart * 100.0)),
            other => other.write(apart),
        };
        match () {
            () if to > from => format!("+{written}"),
            () if to < from => format!("{MINUS}{written}"),
            () => "0".into(),
        }
    }
}

/// `12000` as `12,000`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// `0.98304` as `98.30%`.
pub(super) fn share(part: f64) -> String {
    if part > 0.0 && part < 0.000_1 {
        return "<0.01%".into();
    }
    match decimal_2((part * 10_000.0 + 1e-6).floor() / 100.0) {
        whole if whole.ends_with(".00") && (part <= 0.0 || part >= 1.0) => {
            format!("{}%", whole.trim_end_matches(".00"))
        }
        written => format!("{written}%"),
    }
}

/// A time given in milliseconds, with three digits that mean something.
pub(super) fn span(millis: f64) -> String {
    let seconds = (millis / 1e3).round() as u64;
    match millis {
        none if none <= 0.0 => format!("0{SPACE}ms"),
        few if few < 9.95 => format!("{few:.1}{SPACE}ms"),
        some if some < 999.5 => format!("{some:.0}{SPACE}ms"),
        more if more < 9_995.0 => format!("{:.2}{SPACE}s", more / 1e3),
        more if more < 59_950.0 => format!("{:.1}{SPACE}s", more / 1e3),
        _ if seconds < 3_600 => format!("{}{SPACE}min {:02}{SPACE}s", seconds / 60, seconds % 60),
        _ => format!("{}{SPACE}h {:02}{SPACE}min", count(seconds / 3_600), seconds % 3_600 / 60),
    }
}

/// A time of the run, given in milliseconds: `1:05`, or `0:00.5`.
pub(super) fn clock(millis: u64) -> String {
    let (minutes, seconds, tenths) = (millis / 60_000, millis / 1_000 % 60, millis / 100 % 10);
    let rest = if tenths == 0 { String::new() } else { format!(".{tenths}") };
    format!("{minutes}:{seconds:02}{rest}")
}

/// A number with as many decimals as it takes to see it move.
pub(super) fn decimal(number: f64) -> String {
    match number {
        whole if whole >= 1_000.0 || whole <= 0.0 => count(whole.max(0.0).round() as u64),
        some if some >= 10.0 => format!("{some:.1}"),
        few => decimal_2(few),
    }
}

fn decimal_2(number: f64) -> String {
    format!("{number:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_all_is_never_all_and_what_is_not_nothing_is_never_nothing() {
        let written = [0.0, 0.000_01, 0.713_4, 0.99, 0.999_999, 1.0].map(share);
        assert_eq!(written, ["0%", "<0.01%", "71.34%", "99.00%", "99.99%", "100%"]);
    }

    #[test]
    fn a_share_that_binary_fractions_only_come_near_is_the_one_that_was_meant() {
        assert_eq!([share(0.29), share(0.983), share(0.57)], ["29.00%", "98.30%", "57.00%"]);
    }

    #[test]
    fn thousands_stand_apart() {
        let written = [0, 999, 1_000, 12_000, 1_234_567].map(count);
        assert_eq!(written, ["0", "999", "1,000", "12,000", "1,234,567"]);
    }

    #[test]
    fn a_time_is_told_in_the_unit_that_fits_it() {
        let written = [0.0, 0.42, 9.94, 9.96, 840.0, 999.6, 12_400.0, 59_960.0, 200_000.0, 7_500_000.0].map(span);
        let plain = written.map(|time| time.replace(SPACE, " "));
        let told = [
            "0 ms",
            "0.4 ms",
            "9.9 ms",
            "10 ms",
            "840 ms",
            "1.00 s",
            "12.4 s",
            "1 min 00 s",
            "3 min 20 s",
            "2 h 05 min",
        ];
        assert_eq!(plain, told);
    }

    #[test]
    fn a_time_of_the_run_is_told_as_on_a_clock() {
        assert_eq!([clock(0), clock(65_000), clock(500), clock(3_661_000)], ["0:00", "1:05", "0:00.5", "61:01"]);
    }

    #[test]
    fn a_difference_has_a_sign_and_a_unit() {
        assert_eq!(Unit::Count.difference(412.0, 0.0), "\u{2212}412");
        assert_eq!(Unit::Share.difference(0.7, 0.999), "+29.90\u{a0}points");
        assert_eq!(Unit::Millis.difference(5.0, 5.0), "0");
    }
}
