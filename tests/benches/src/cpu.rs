//! Processor time of everything under measurement, the load included. On a machine that others use too it says more than a
//! rate does: what waits for a processor spends none.

use std::{collections::HashMap, fs, time::Duration};

/// The kernel counts in hundredths of a second, on every platform that we build for.
const TICK: Duration = Duration::from_millis(10);

/// What this process and all that it started have spent since they began.
pub(crate) fn spent() -> Duration {
    let processes: HashMap<u32, Process> = fs::read_dir("/proc")
        .expect("the system tells of its processes")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, read(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect();
    let ours = processes.keys().filter(|id| descends(&processes, **id));
    TICK * ours.map(|id| processes[id].ticks).sum()
}

struct Process {
    parent: u32,
    ticks: u32,
}

/// Source: proc_pid_stat(5). The name, in parentheses, may itself contain spaces and parentheses.
fn read(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    Some(Process { parent: field(4)?, ticks: field(14)? + field(15)? })
}

fn descends(processes: &HashMap<u32, Process>, id: u32) -> bool {
    let parent = |id: &u32| processes.get(id).map(|process| process.parent);
    std::iter::successors(Some(id), parent).any(|id| id == std::process::id())
}
