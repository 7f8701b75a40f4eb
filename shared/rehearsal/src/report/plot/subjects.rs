//! The subjects that are drawn, and how.

use super::Shape;
use super::shape::Frame;
use super::timeline::Moment;
use crate::outcome::Bucket;
use crate::report::numbers::{Unit, span};

/// Something that is drawn over time.
pub(super) struct Subject {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    /// What is counted, where it is not a time.
    pub(super) of: &'static str,
    /// What is said where there is nothing to draw; where that is so on all sides, some subjects are left out, for whoever
    /// did not look into the pool does not know.
    pub(super) nothing: &'static str,
    pub(super) may_be_unknown: bool,
    /// The last one is drawn on top.
    pub(super) curves: &'static [Curve],
}

/// One line of it.
pub(super) struct Curve {
    pub(super) class: &'static str,
    pub(super) text: &'static str,
    manner: Manner,
    /// None where there is nothing to know.
    of: fn(&Bucket) -> Option<f64>,
}

enum Manner {
    Line,
    Area,
    Bars,
}

/// The side's own subject.
const MAIN: &str = "main";
/// What it is seen against.
const BESIDE: &str = "beside";
/// What should not be.
const HARM: &str = "harm";

pub(super) const SUBJECTS: [Subject; 6] = [
    Subject {
        id: "work",
        title: "Offered and completed",
        unit: Unit::PerSecond,
        of: "a second",
        nothing: "Nothing was offered",
        may_be_unknown: false,
        curves: &[
            Curve {
                class: BESIDE,
                text: "offered",
                manner: Manner::Line,
                of: |bucket| per_second(bucket, bucket.offered),
            },
            Curve {
                class: MAIN,
                text: "completed",
                manner: Manner::Area,
                of: |bucket| per_second(bucket, bucket.completed),
            },
            Curve { class: HARM, text: "failed", manner: Manner::Line, of: |bucket| per_second(bucket, bucket.failed) },
        ],
    },
    Subject {
        id: "depth",
        title: "Waiting in the queue",
        unit: Unit::Count,
        of: "invocations",
        nothing: "Nothing waited",
        may_be_unknown: false,
        curves: &[Curve {
            class: MAIN,
            text: "invocations",
            manner: Manner::Area,
            of: |bucket| Some(bucket.depth as f64),
        }],
    },
    Subject {
        id: "waits",
        title: "Wait until a worker begins",
        unit: Unit::Millis,
        of: "",
        nothing: "Nobody waited",
        may_be_unknown: true,
        curves: &[
            Curve {
                class: BESIDE,
                text: "half waited less",
                manner: Manner::Line,
                of: |bucket| known(bucket.wait_p50_ms),
            },
            Curve {
                class: MAIN,
                text: "one in a hundred waited longer",
                manner: Manner::Line,
                of: |bucket| known(bucket.wait_p99_ms),
            },
        ],
    },
    Subject {
        id: "refusals",
        title: "Callers told to come back later",
        unit: Unit::PerSecond,
        of: "a second",
        nothing: "Nobody was turned away",
        may_be_unknown: false,
        curves: &[Curve {
            class: MAIN,
            text: "refusals",
            manner: Manner::Bars,
            of: |bucket| per_second(bucket, bucket.refusals),
        }],
    },
    Subject {
        id: "provider",
        title: "Model calls that the provider refused (429)",
        unit: Unit::PerSecond,
        of: "a second",
        nothing: "The provider refused nothing",
        may_be_unknown: false,
        curves: &[Curve {
            class: MAIN,
            text: "refused calls",
            manner: Manner::Bars,
            of: |bucket| per_second(bucket, bucket.provider_429),
        }],
    },
    Subject {
        id: "workers",
        title: "Workers of the pool",
        unit: Unit::Count,
        of: "workers",
        nothing: "No worker was busy",
        may_be_unknown: true,
        curves: &[
            Curve { class: BESIDE, text: "busy", manner: Manner::Line, of: |bucket| Some(bucket.workers_busy as f64) },
            Curve {
                class: MAIN,
                text: "standing in a tool that hangs",
                manner: Manner::Area,
                of: |bucket| Some(bucket.workers_stalled as f64),
            },
        ],
    },
];

fn per_second(bucket: &Bucket, times: u64) -> Option<f64> {
    (bucket.length_ms > 0).then(|| times as f64 * 1e3 / bucket.length_ms as f64)
}

/// A wait of nothing means that nobody began.
fn known(wait_ms: f64) -> Option<f64> {
    (wait_ms > 0.0).then_some(wait_ms)
}

impl Subject {
    /// All values that are drawn.
    pub(super) fn values(&self, moments: &[Moment<Bucket>]) -> impl Iterator<Item = f64> {
        self.curves.iter().flat_map(move |curve| moments.iter().filter_map(|moment| (curve.of)(&moment.what)))
    }

    /// Its lines on the paper.
    pub(super) fn shapes(&self, frame: &Frame, moments: &[Moment<Bucket>]) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for Curve { class, manner, of, .. } in self.curves {
            match manner {
                Manner::Bars => shapes.push(Shape { class: "bars", path: frame.bars(moments, of) }),
                Manner::Area => {
                    shapes.push(Shape { class: "area", path: frame.area(moments, of) });
                    shapes.push(Shape { class, path: frame.line(moments, of) });
                }
                Manner::Line => shapes.push(Shape { class, path: frame.line(moments, of) }),
            }
        }
        shapes
    }

    /// What a picture of it shows, in words.
    pub(super) fn says(&self, moments: &[Moment<Bucket>]) -> String {
        let most = |curve: &Curve| {
            let values = moments.iter().filter_map(|moment| Some((moment.from, (curve.of)(&moment.what)?)));
            let (at, value) =
                values.max_by(|(_, one), (_, other)| one.total_cmp(other)).filter(|(_, value)| *value > 0.0)?;
            Some(format!("{}: at most {}, after {}.", curve.text, self.unit.write(value), span(at * 1e3)))
        };
        let said: Vec<_> = self.curves.iter().filter_map(most).collect();
        if said.is_empty() { format!("{}.", self.nothing) } else { said.join(" ") }
    }
}
