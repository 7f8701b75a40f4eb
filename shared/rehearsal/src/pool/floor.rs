//! What the workers do at this moment: who is at work, and who stands in a call of a tool that hangs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The workers, as one could see them.
#[derive(Debug)]
pub(crate) struct Floor {
    stalled_after: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    busy: u64,
    /// Tool calls under way, by a number of their own.
    calls: HashMap<u64, Instant>,
    next: u64,
    stalled: Duration,
}

/// A worker at work, until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Floor>);

/// A tool call under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct InTool {
    floor: Arc<Floor>,
    number: u64,
}

impl Floor {
    /// Who stands in one tool call for longer counts as stalled.
    pub(crate) fn new(stalled_after: Duration) -> Self {
        Self { stalled_after, seen: Mutex::default() }
    }

    /// A worker takes up an invocation.
    pub(crate) fn take_up(self: &Arc<Self>) -> Busy {
        self.seen.lock().busy += 1;
        Busy(Arc::clone(self))
    }

    /// A worker calls a tool.
    pub(crate) fn call_tool(self: &Arc<Self>) -> InTool {
        let mut seen = self.seen.lock();
        let number = seen.next;
        seen.next += 1;
        seen.calls.insert(number, Instant::now());
        InTool { floor: Arc::clone(self), number }
    }

    /// Workers that are at work, and those of them that stand in a tool call for too long.
    pub(crate) fn count(&self) -> (u64, u64) {
        let seen = self.seen.lock();
        let stalled = seen.calls.values().filter(|begun| begun.elapsed() > self.stalled_after).count();
        (seen.busy, stalled as u64)
    }

    /// For how long workers stood in tool calls that took too long, all added up.
    pub(crate) fn stalled(&self) -> Duration {
        let seen = self.seen.lock();
        seen.calls.values().map(|begun| self.counts(begun.elapsed())).sum::<Duration>() + seen.stalled
    }

    fn counts(&self, took: Duration) -> Duration {
        if took > self.stalled_after { took } else { Duration::ZERO }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.seen.lock().busy -= 1;
    }
}

impl Drop for InTool {
    fn drop(&mut self) {
        let mut seen = self.floor.seen.lock();
        if let Some(begun) = seen.calls.remove(&self.number) {
            seen.stalled += self.floor.counts(begun.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_too_long_in_a_call_is_stalled_until_it_ends() {
        let floor = Arc::new(Floor::new(Duration::ZERO));
        let (busy, call) = (floor.take_up(), floor.call_tool());
        assert_eq!(floor.count(), (1, 1));
        drop((busy, call));
        assert_eq!(floor.count(), (0, 0));
        assert!(floor.stalled() > Duration::ZERO);
    }

    #[test]
    fn a_call_of_the_usual_length_is_no_stall() {
        let floor = Arc::new(Floor::new(Duration::from_secs(3_600)));
        let call = floor.call_tool();
        assert_eq!(floor.count(), (0, 0));
        drop(call);
        assert_eq!(floor.stalled(), Duration::ZERO);
    }
}
