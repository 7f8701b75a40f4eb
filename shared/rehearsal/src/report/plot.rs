//! What is drawn over time: for each subject one plot, the two sides beside each other on the same scales.

mod axis;
mod shape;
mod subjects;
mod timeline;

use axis::Axis;
pub(super) use shape::Frame;
use subjects::{SUBJECTS, Subject};
use timeline::Moment;
pub(super) use timeline::{Entry, Stretch, entries, stretches};

use crate::Outcome;
use crate::outcome::Bucket;

/// How a side is called.
pub(super) const fn name(side: &str) -> &'static str {
    match side.as_bytes() {
        b"off" => "As a pilot is built",
        _ => "Protected",
    }
}

/// One subject, over time.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) keys: Vec<Key>,
    pub(super) panels: Vec<Panel>,
}

/// What a line means.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) class: &'static str,
    pub(super) text: &'static str,
}

/// One side of a plot.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) side: &'static str,
    pub(super) name: &'static str,
    /// For who does not see it.
    pub(super) says: String,
    pub(super) rows: Vec<Tick>,
    pub(super) columns: Vec<Tick>,
    pub(super) bands: Vec<Band>,
    pub(super) shapes: Vec<Shape>,
    /// Instead of shapes.
    pub(super) nothing: Option<&'static str>,
}

/// A place on an axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
}

/// A stretch of time that is marked.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) label: String,
    pub(super) text: String,
}

/// Something drawn.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) class: &'static str,
    pub(super) path: String,
}

/// All plots of a rehearsal.
pub(super) fn plots(outcome: &Outcome) -> Vec<Plot> {
    let sides: Vec<Drawn> = outcome
        .sides()
        .map(|(name, side)| Drawn { name, moments: timeline::moments(&side.series), stretches: stretches(side) })
        .collect();
    let lasts = sides.iter().filter_map(|side| Some(side.moments.last()?.until)).fold(0.0, f64::max);
    let time = Axis::of_time(lasts);
    let known = |subject: &&Subject| {
        !subject.may_be_unknown || sides.iter().any(|side| subject.values(&side.moments).any(|value| value > 0.0))
    };
    SUBJECTS.iter().filter(known).map(|subject| plot(subject, &sides, &time)).collect()
}

/// A side, as it is drawn.
struct Drawn {
    name: &'static str,
    moments: Vec<Moment<Bucket>>,
    stretches: Vec<Stretch>,
}

fn plot(subject: &Subject, sides: &[Drawn], time: &Axis) -> Plot {
    let most = sides.iter().flat_map(|side| subject.values(&side.moments)).fold(0.0, f64::max);
    let height = Axis::of(subject.unit, most);
    Plot {
        id: subject.id,
        title: subject.title,
        unit: height.time_words().unwrap_or(subject.of),
        keys: subject.curves.iter().map(|curve| Key { class: curve.class, text: curve.text }).collect(),
        panels: sides.iter().map(|side| panel(subject, side, time, &height)).collect(),
    }
}

fn panel(subject: &Subject, side: &Drawn, time: &Axis, height: &Axis) -> Panel {
    let frame = Frame { time: time.top(), height: height.top() };
    let something = subject.values(&side.moments).any(|value| value > 0.0);
    let rows = height.ticks().map(|(value, label)| Tick { at: frame.y(value), label }).collect();
    let columns = time.ticks().map(|(value, label)| Tick { at: frame.x(value), label }).collect();
    let shapes = if something { subject.shapes(&frame, &side.moments) } else { Vec::new() };
    Panel {
        side: side.name,
        name: name(side.name),
        says: subject.says(&side.moments),
        bands: side.stretches.iter().map(|stretch| stretch.band(&frame)).collect(),
        nothing: (!something).then_some(subject.nothing),
        rows,
        columns,
        shapes,
    }
}
