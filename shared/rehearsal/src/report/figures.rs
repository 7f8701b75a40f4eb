//! The table of all figures, read from the very document that `--json` prints, so that the two cannot differ.

use serde_json::{Map, Value};

use super::numbers::Unit;
use crate::Outcome;
use crate::outcome::Side;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Good {
    More,
    Less,
    /// It depends, or it is only told.
    Neither,
}

/// A figure of a side, by its key in the document.
struct Figure {
    key: &'static str,
    label: &'static str,
    unit: Unit,
    good: Good,
}

/// Some figures under one heading.
struct Chapter {
    title: &'static str,
    figures: &'static [Figure],
}

const fn figure(key: &'static str, label: &'static str, unit: Unit, good: Good) -> Figure {
    Figure { key, label, unit, good }
}

use Good::{Less, More, Neither};
use Unit::{Count, Millis, PerSecond, Seconds, Share};

const CHAPTERS: [Chapter; 5] = [
    Chapter {
        title: "What callers got",
        figures: &[
            figure("success_rate", "Succeeded, of all offered", Share, More),
            figure("offered", "Invocations offered", Count, Neither),
            figure("succeeded", "Succeeded, in time", Count, More),
            figure("degraded", "… of them with a fallback", Count, Neither),
            figure("failed", "Failed", Count, Less),
            figure("expired", "Not answered in time", Count, Less),
            figure("refused", "Refused for good", Count, Less),
        ],
    },
    Chapter {
        title: "What became of the records",
        figures: &[
            figure("lost_updates", "Acknowledged updates that are gone", Count, Less),
            figure("wrong_answers", "Answers that are wrong, and count as success", Count, Less),
            figure("state_write_timeouts", "State writes without an answer in time", Count, Less),
        ],
    },
    Chapter {
        title: "What the world outside saw",
        figures: &[
            figure("provider_429", "Model calls that the provider refused (429)", Count, Less),
            figure("model_calls", "Model calls sent", Count, Neither),
            figure("tool_calls", "Tool calls sent", Count, Neither),
            figure("tool_stalls", "Tool calls that hung", Count, Less),
            figure("stalled_worker_seconds", "Time of workers that stood in them", Seconds, Less),
            figure("tokens_input", "Tokens read by the model", Count, Neither),
            figure("tokens_output", "Tokens written by the model", Count, Neither),
        ],
    },
    Chapter {
        title: "Waiting",
        figures: &[
            figure("wait_p50_ms", "Until a worker begins: half waited less", Millis, Less),
            figure("wait_p99_ms", "… one in a hundred waited longer", Millis, Less),
            figure("answer_p50_ms", "Until the answer: half waited less", Millis, Less),
            figure("answer_p99_ms", "… one in a hundred waited longer", Millis, Less),
            figure("cut_off", "In hand when workers were killed", Count, Neither),
            figure("left_lying", "… of them not begun again", Count, Less),
            figure("depth_max", "Most that waited at a time", Count, Less),
            figure("refusals", "Times that a caller was told to come back", Count, Neither),
            figure("refusals_without_retry_after", "… of them without saying when", Count, Less),
        ],
    },
    Chapter {
        title: "The run",
        figures: &[
            figure("goodput_per_second", "Successes a second", PerSecond, More),
            figure("seconds", "How long it took", Seconds, Neither),
            figure("late_p99_ms", "Callers came later than planned: one in a hundred by more", Millis, Neither),
        ],
    },
];

/// What stands where nobody looked, or nothing was seen to happen.
pub(super) const UNKNOWN: &str = "–";

/// Some rows under one heading.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A figure on both sides.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) label: String,
    /// The unprotected side first.
    pub(super) cells: Vec<Cell>,
    /// Where there are two sides.
    pub(super) difference: Option<Difference>,
}

/// A figure of one side.
#[derive(Debug)]
pub(super) struct Cell {
    /// As it stands in the document.
    pub(super) value: String,
    /// As it is read.
    pub(super) text: String,
    /// What a time is on the day that was rehearsed.
    pub(super) on_the_day: Option<String>,
}

/// How the protected side differs.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) text: String,
    /// `better`, `worse`, or nothing.
    pub(super) verdict: &'static str,
}

/// All figures of all sides.
pub(super) fn table(outcome: &Outcome) -> Vec<Rows> {
    let sides: Vec<_> = outcome.sides().map(|(_, side)| document(side)).collect();
    CHAPTERS
        .iter()
        .map(|chapter| Rows {
            title: chapter.title,
            rows: chapter.figures.iter().map(|figure| figure.row(&sides, outcome.factor)).collect(),
        })
        .collect()
}

fn document(side: &Side) -> Map<String, Value> {
    match serde_json::to_value(side) {
        Ok(Value::Object(document)) => document,
        _ => Map::new(),
    }
}

impl Figure {
    fn row(&self, sides: &[Map<String, Value>], factor: f64) -> Row {
        let values: Vec<_> = sides.iter().map(|side| side.get(self.key).unwrap_or(&Value::Null)).collect();
        let cells = values.iter().map(|value| self.cell(value, factor)).collect();
        let numbers: Vec<_> = values.iter().map(|value| value.as_f64()).collect();
        let difference = match numbers[..] {
            [Some(off), Some(on)] => {
                Some(Difference { text: self.unit.difference(off, on), verdict: self.verdict(off, on) })
            }
            [_, _] => Some(Difference { text: UNKNOWN.into(), verdict: "" }),
            _ => None,
        };
        Row { key: self.key.into(), label: self.label.into(), cells, difference }
    }

    fn cell(&self, value: &Value, factor: f64) -> Cell {
        let Some(number) = value.as_f64() else {
            return Cell { value: value.to_string(), text: UNKNOWN.into(), on_the_day: None };
        };
        let compressed = self.unit.is_time() && factor != 1.0 && number > 0.0;
        Cell {
            value: value.to_string(),
            text: self.unit.write(number),
            on_the_day: compressed.then(|| self.unit.write(number * factor)),
        }
    }

    fn verdict(&self, off: f64, on: f64) -> &'static str {
        match self.good {
            Neither => "",
            _ if off == on => "",
            More if on > off => "better",
            Less if on < off => "better",
            More | Less => "worse",
        }
    }
}
