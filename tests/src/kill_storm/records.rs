//! What workers write down, and what can be read out of it. Times are the machine's, for all processes are on it.

use std::collections::BTreeMap;
use std::path::Path;

use holdfast_rpc::time::now_micros;

/// What becomes of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The handler was called.
    Begun,
    /// It came to its end.
    Done,
    /// It was stopped: the worker was told that its lease is gone.
    Dropped,
}

/// One line of a worker's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    execution: u64,
    what: What,
    invocation: String,
    at: i64,
}

impl Note {
    /// A note of this moment.
    pub fn now(execution: u64, what: What, invocation: &str) -> Self {
        Self { execution, what, invocation: invocation.to_owned(), at: now_micros() }
    }

    /// As it stands in the file.
    pub fn line(&self) -> String {
        let what = match self.what {
            What::Begun => "begun",
            What::Done => "done",
            What::Dropped => "dropped",
        };
        format!("{} {what} {} {}\n", self.execution, self.invocation, self.at)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let execution = words.next()?.parse().ok()?;
        let what = match words.next()? {
            "begun" => What::Begun,
            "done" => What::Done,
            "dropped" => What::Dropped,
            _ => return None,
        };
        Some(Self { execution, what, invocation: words.next()?.to_owned(), at: words.next()?.parse().ok()? })
    }
}

/// One worker process, from its start to its kill.
#[derive(Debug)]
pub(super) struct Life {
    /// Whose successor it is.
    pub(super) place: usize,
    pub(super) killed_at: Option<i64>,
}

impl Life {
    pub(super) const fn new(place: usize) -> Self {
        Self { place, killed_at: None }
    }
}

/// A handler that was called.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    /// Which life of a worker.
    pub(super) life: usize,
    pub(super) begun_at: i64,
    /// None where the worker did not live to write it.
    pub(super) end: Option<(What, i64)>,
}

/// The executions of each invocation, in the order in which they began.
pub(super) type Executions = BTreeMap<String, Vec<Execution>>;

/// Reads one life's records into the others'.
pub(super) fn read(life: usize, file: &Path, executions: &mut Executions) {
    // A worker that was killed before its first work has none.
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut here: BTreeMap<u64, (String, Execution)> = BTreeMap::new();
    // Only whole lines: a kill may have cut the last one.
    for note in text.split_inclusive('\n').filter_map(|line| Note::parse(line.strip_suffix('\n')?)) {
        match note.what {
            What::Begun => {
                here.insert(note.execution, (note.invocation, Execution { life, begun_at: note.at, end: None }));
            }
            end => {
                if let Some((_, execution)) = here.get_mut(&note.execution) {
                    execution.end = Some((end, note.at));
                }
            }
        }
    }
    for (invocation, execution) in here.into_values() {
        executions.entry(invocation).or_default().push(execution);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_of_a_killed_worker_is_no_record() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let notes = [Note::now(0, What::Begun, "a"), Note::now(1, What::Begun, "b"), Note::now(0, What::Done, "a")];
        let mut text: String = notes.iter().map(Note::line).collect();
        text.push_str("1 done b 17");
        std::fs::write(file.path(), text).unwrap();
        let mut executions = Executions::new();
        read(3, file.path(), &mut executions);
        assert!(matches!(executions["a"][0], Execution { life: 3, end: Some((What::Done, _)), .. }));
        assert!(executions["b"][0].end.is_none());
    }
}
