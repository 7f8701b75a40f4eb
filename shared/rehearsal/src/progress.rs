//! How far a rehearsal is, for whoever waits for it: a bar where somebody sees it, a line now and then where it is a log.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::scenario::Which;

/// A log has a line as often.
const LINE_EVERY: Duration = Duration::from_secs(15);
const STYLE: &str = "{prefix:>4} {wide_bar:.cyan/dim} {percent:>3}%  {msg}";
/// A bar has so many steps.
const STEPS: u64 = 1_000;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Whoever looks at standard error.
    Shown,
    /// Nobody.
    Silent,
}

/// How far one side is.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    lines: bool,
    name: &'static str,
    begun: Instant,
    length: Duration,
    told: Mutex<Instant>,
    offered: AtomicU64,
    well: AtomicU64,
    ill: AtomicU64,
}

impl Progress {
    /// Something that has to be known beforehand.
    pub(crate) fn say(self, what: &str) {
        if self == Self::Shown {
            eprintln!("{what}");
        }
    }

    pub(crate) fn side(self, which: Which, length: Duration) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        let bar = (self == Self::Shown && terminal).then(|| ProgressBar::new(STEPS));
        if let Some(bar) = &bar {
            bar.set_style(ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(which.name());
        }
        Bar {
            bar,
            lines: self == Self::Shown && !terminal,
            name: which.name(),
            begun: Instant::now(),
            length,
            told: Mutex::new(Instant::now()),
            offered: AtomicU64::new(0),
            well: AtomicU64::new(0),
            ill: AtomicU64::new(0),
        }
    }
}

impl Bar {
    /// An invocation is asked for.
    pub(crate) fn offer(&self) {
        self.offered.fetch_add(1, Relaxed);
    }

    /// It ended, well or not.
    pub(crate) fn end(&self, well: bool) {
        if well { &self.well } else { &self.ill }.fetch_add(1, Relaxed);
    }

    /// What was seen just now.
    pub(crate) fn look(&self, depth: u64, refused: u64, stalled: u64) {
        let past = self.begun.elapsed().as_secs_f64() / self.length.as_secs_f64().max(f64::MIN_POSITIVE);
        let [offered, well, ill] = [&self.offered, &self.well, &self.ill].map(|count| count.load(Relaxed));
        let text = format!(
            "{offered} asked, {well} well, {ill} not; {depth} wait, {stalled} workers stalled, {refused} × 429"
        );
        if let Some(bar) = &self.bar {
            bar.set_position((past.min(1.0) * STEPS as f64) as u64);
            bar.set_message(text);
        } else if self.lines && self.told.lock().elapsed() >= LINE_EVERY {
            *self.told.lock() = Instant::now();
            eprintln!("{}: {:.0}%, {text}", self.name, past.min(1.0) * 100.0);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
