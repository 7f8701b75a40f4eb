use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::interval;

const EVERY: Duration = Duration::from_millis(200);

/// The memory that processes hold, looked at several times a second.
#[derive(Debug)]
pub struct Memory {
    watch: JoinHandle<()>,
    seen: Arc<Mutex<Vec<(Instant, f64)>>>,
}

impl Memory {
    /// Watches one process until this value is dropped.
    pub fn of(pid: u32) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let into = Arc::clone(&seen);
        let watch = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            loop {
                ticks.tick().await;
                let Some(held) = resident_mib(pid) else { return };
                into.lock().expect("nobody panics with it").push((Instant::now(), held));
            }
        });
        Self { watch, seen }
    }

    /// The most that it held within a time, in MiB.
    ///
    /// # Panics
    /// Never.
    pub fn most(&self, from: Instant, until: Instant) -> f64 {
        let seen = self.seen.lock().expect("nobody panics with it");
        seen.iter().filter(|(at, _)| (from..=until).contains(at)).map(|(_, held)| *held).fold(0.0, f64::max)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// What a process holds now, in MiB. Source: proc_pid_status(5).
pub fn resident_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_holds_memory_and_one_that_is_not_there_none() {
        assert!(resident_mib(std::process::id()).is_some_and(|held| held > 0.1));
        assert_eq!(resident_mib(u32::MAX), None);
    }
}
