//! How figures are written: short, and with their unit.

use std::time::Duration;

/// A count: 950, 12.3k, 4.1M.
pub(crate) fn count(value: f64) -> String {
    match value {
        value if value < 1_000.0 => format!("{value:.0}"),
        value if value < 99_950.0 => format!("{:.1}k", value / 1e3),
        value if value < 999_500.0 => format!("{:.0}k", value / 1e3),
        value if value < 99_950_000.0 => format!("{:.1}M", value / 1e6),
        value => format!("{:.0}M", value / 1e6),
    }
}

/// A rate: 0, 0.3, 12, 4.1k.
pub(crate) fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { count(value) }
}

/// A span: 0 ms, 250 µs, 3.4 ms, 12 s, 4m 10s, 2h 5m, 3d 4h.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match span.as_micros() {
        0 => "0 s".into(),
        micros @ ..1_000 => format!("{micros} µs"),
        micros @ ..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros @ ..1_000_000 => format!("{} ms", micros / 1_000),
        micros @ ..10_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ if seconds < 100 => format!("{seconds} s"),
        _ if seconds < 3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The age of something, where fractions do not matter.
pub(crate) fn age(age: Duration) -> String {
    if age < Duration::from_secs(10) { format!("{} s", age.as_secs()) } else { span(age) }
}

/// Bytes: 512 B, 12 KiB, 34 MiB.
pub(crate) fn bytes(value: f64) -> String {
    match value {
        value if value < 1_024.0 => format!("{value:.0} B"),
        value if value < 1_048_576.0 => format!("{:.0} KiB", value / 1_024.0),
        value if value < 1_073_741_824.0 => format!("{:.0} MiB", value / 1_048_576.0),
        value => format!("{:.1} GiB", value / 1_073_741_824.0),
    }
}

/// A part of a whole as a bar of so many characters, full from the left.
pub(crate) fn bar(part: f64, characters: usize) -> String {
    let full = (part.clamp(0.0, 1.0) * characters as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(characters - full))
}

/// Values as a line of small columns, the highest one full.
pub(crate) fn trend(values: impl ExactSizeIterator<Item = u64> + Clone, characters: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skipped = values.len().saturating_sub(characters);
    let highest = values.clone().skip(skipped).max().unwrap_or(0).max(1);
    let step =
        |value: u64| if value == 0 { ' ' } else { STEPS[((value * 8).div_ceil(highest) as usize).clamp(1, 8) - 1] };
    values.skip(skipped).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_keep_their_unit() {
        assert_eq!([0.0, 999.0, 1_234.0, 123_456.0, 4_100_000.0].map(count), ["0", "999", "1.2k", "123k", "4.1M"]);
        assert_eq!([0.0, 0.25, 12.3].map(rate), ["0", "0.2", "12"]);
        let spans = [250, 3_400, 45_000, 1_500_000, 12_000_000, 250_000_000, 7_500_000_000, 270_000_000_000];
        let written = ["250 µs", "3.4 ms", "45 ms", "1.5 s", "12 s", "4m 10s", "2h 5m", "3d 3h"];
        assert_eq!(spans.map(|micros| span(Duration::from_micros(micros))), written);
        assert_eq!([512.0, 12_288.0, 36_000_000.0].map(bytes), ["512 B", "12 KiB", "34 MiB"]);
    }

    #[test]
    fn bars_and_trends_show_shares() {
        assert_eq!((bar(0.5, 4), bar(1.4, 3)), ("██░░".into(), "███".into()));
        assert_eq!(trend([9, 0, 1, 4, 8].into_iter(), 4), " ▁▄█");
    }
}
