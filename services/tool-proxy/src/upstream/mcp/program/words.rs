//! What a server says on its standard error, in our log: so many lines, each of so many bytes.

use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::time::Instant;
use tracing::info;

/// The rest of a longer line is told as further lines.
const LINE_BYTES_MAX: u64 = 2 << 10;

/// Lines in a window; what comes above is counted only.
const LINES_MAX: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// Reads to the end.
pub(super) async fn log(server: String, errors: impl AsyncRead + Unpin) {
    let (mut errors, mut window) = (BufReader::new(errors), Window::new(Instant::now()));
    while let Some(line) = line(&mut errors).await {
        let passed = window.pass(Instant::now());
        if let Some(skipped) = passed.skipped {
            info!(server, skipped, "MCP server said more than is logged");
        }
        if passed.told {
            info!(server, line, "MCP server says");
        }
    }
}

async fn line(errors: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let read = errors.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).await.ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[derive(Debug)]
struct Window {
    until: Instant,
    lines: u32,
}

#[derive(Debug, PartialEq)]
struct Passed {
    told: bool,
    /// How many lines of the window before were not told.
    skipped: Option<u32>,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { until: now + WINDOW, lines: 0 }
    }

    fn pass(&mut self, now: Instant) -> Passed {
        let mut skipped = None;
        if now >= self.until {
            skipped = Some(self.lines.saturating_sub(LINES_MAX)).filter(|skipped| *skipped > 0);
            *self = Self::new(now);
        }
        self.lines = self.lines.saturating_add(1);
        Passed { told: self.lines <= LINES_MAX, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_comes_in_pieces() {
        let mut errors = BufReader::new(std::io::Cursor::new([b'x'; 5000]));
        let mut lengths = Vec::new();
        while let Some(line) = line(&mut errors).await {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [2048, 2048, 904]);
    }

    #[test]
    fn a_flood_is_counted_and_told_when_the_window_has_passed() {
        let now = Instant::now();
        let mut window = Window::new(now);
        let told = (0..250).filter(|_| window.pass(now).told).count();
        assert_eq!(told, 100);
        assert_eq!(window.pass(now + WINDOW), Passed { told: true, skipped: Some(150) });
        assert_eq!(window.pass(now + WINDOW * 2), Passed { told: true, skipped: None });
    }
}
