//! What a rehearsal came to: the JSON document that `--json` prints, and all that the report draws.
//!
//! Times are as the clock on the wall showed them while the rehearsal ran, so they are compressed: times
//! [`Outcome::factor`], they are those of the day that was rehearsed. Nothing in here was counted by the mesh itself, but
//! [`Side::depth_max`] and [`Bucket::depth`], which only the queue can know; no promise is judged by them.
//!
//! What nobody looked at is `null`, and never 0: of somebody's own agents, nobody knows what was lost, who began when, and what a
//! fallback had a part in; where nobody began there is no wait.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The whole of it. Both sides have the same keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name: `day-four`, or that of a file.
    pub scenario: String,
    /// What it is about, in one line.
    pub title: String,
    /// What is played, in a few sentences; paragraphs are separated by an empty line.
    pub story: String,
    /// By what all times were divided.
    pub factor: f64,
    /// What arrivals, faults and choices were drawn from.
    pub seed: u64,
    /// The settings that the scenario had of this run, for people: `[["a day's invocations", "12,000"], …]`.
    pub terms: Vec<(String, String)>,
    /// As a pilot is built. None where a running mesh was rehearsed, whose settings are its own.
    pub off: Option<Side>,
    /// Protected.
    pub on: Side,
    /// The failures that the scenario is made to show, and whether they were seen where nothing protects from them.
    pub failures: Vec<Seen>,
    /// What must hold on the protected side.
    pub promises: Vec<Promise>,
}

/// One run of the scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The part of the offered invocations that were answered in time, from 0 to 1: what callers and logs call success. A
    /// degraded one counts: it was answered as its fallback defines. A refused one counts once it has been taken at a
    /// later try. A wrong one counts too, for nobody sees that it is: [`Side::wrong_answers`].
    pub success_rate: f64,
    /// Invocations that callers began.
    pub offered: u64,
    /// Those answered in time, degraded and wrong ones included.
    pub succeeded: u64,
    /// Those of them that a fallback had a part in.
    pub degraded: Option<u64>,
    /// Those that ended otherwise.
    pub failed: u64,
    /// Those that were not answered by their deadline.
    pub expired: u64,
    /// Those that were never taken: refused until their caller had no time left.
    pub refused: u64,
    /// Writes to shared records that were acknowledged, and are not in what the records hold at the end.
    pub lost_updates: Option<u64>,
    /// Those that succeeded and are wrong all the same: made from a record that lacked an update which had been acknowledged
    /// before it was read.
    pub wrong_answers: Option<u64>,
    /// What the model's provider refused, by its own count.
    pub provider_429: u64,
    /// Calls that the simulated model was sent.
    pub model_calls: u64,
    /// Calls that the simulated tools were sent.
    pub tool_calls: u64,
    /// Tool calls that the tool let hang.
    pub tool_stalls: u64,
    /// For how long workers of the pool stood in calls of a tool that hung, all added up, in seconds.
    pub stalled_worker_seconds: Option<f64>,
    /// State writes that had no answer within their time, as the agents saw it.
    pub state_write_timeouts: Option<u64>,
    /// Invocations that workers had in hand when they were killed.
    #[serde(default)]
    pub cut_off: Option<u64>,
    /// Those of them that no worker has begun again.
    #[serde(default)]
    pub left_lying: Option<u64>,
    /// Times that a caller was told to come back.
    pub refusals: u64,
    /// Those of them that did not say when.
    pub refusals_without_retry_after: u64,
    /// From an invocation's first try to a worker's beginning on it: the median.
    pub wait_p50_ms: Option<f64>,
    /// The same: what one in a hundred waited longer than.
    pub wait_p99_ms: Option<f64>,
    /// From an invocation's first try to its answer: the median of those that succeeded.
    pub answer_p50_ms: Option<f64>,
    /// The same: what one in a hundred waited longer than.
    pub answer_p99_ms: Option<f64>,
    /// Successes in a second, from the first arrival to the last end.
    pub goodput_per_second: f64,
    /// Tokens that the simulated model read.
    pub tokens_input: u64,
    /// Tokens that it wrote.
    pub tokens_output: u64,
    /// The most invocations that waited at a time.
    pub depth_max: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How much later than planned callers came: what one in a hundred was later than. Where this is not little, this
    /// machine was too busy for the factor, and the mesh was too.
    #[serde(default)]
    pub late_p99_ms: f64,
    /// Why invocations did not succeed, and how many, most first.
    pub reasons: Vec<(String, u64)>,
    /// What came of each phase by itself.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// What came of each tenant's invocations, where there are several.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
    /// Stretches of the run, for what is drawn over time: phases, and faults that were switched on and off.
    pub marks: Vec<Mark>,
    /// What happened when, in buckets of equal length without gaps, from the first arrival on.
    pub series: Vec<Bucket>,
}

/// What came of one tenant's invocations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// The tenant.
    pub tenant: String,
    /// From the first arrival to the last end; its phase has no name.
    pub whole: Part,
    /// Each phase by itself.
    pub parts: Vec<Part>,
}

/// What came of one phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The phase.
    pub phase: String,
    /// Invocations that callers began in it.
    pub offered: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
    /// The part of them that did, from 0 to 1.
    pub success_rate: f64,
    /// Successes in a second of it, whenever they were asked for.
    pub goodput_per_second: f64,
    /// From their first try to a worker's beginning: the median.
    pub wait_p50_ms: Option<f64>,
    /// The same: what one in a hundred waited longer than.
    pub wait_p99_ms: Option<f64>,
    /// Times that their callers were told to come back.
    pub refusals: u64,
    /// Those of them that did not say when.
    #[serde(default)]
    pub refusals_without_retry_after: u64,
}

/// A stretch of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// From when on.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// What was so: "600 a day", "state is gone".
    pub text: String,
    /// Whether it is something that was done to the mesh, rather than a phase of the day.
    pub fault: bool,
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// When it begins, from the first arrival on.
    pub at_ms: u64,
    /// How long it is.
    pub length_ms: u64,
    /// Invocations that callers began.
    pub offered: u64,
    /// Those that ended well, degraded ones included.
    pub completed: u64,
    /// Those of them that a fallback had a part in.
    pub degraded: u64,
    /// Those that ended otherwise: failed, expired, refused for good.
    pub failed: u64,
    /// Times that a caller was told to come back.
    pub refusals: u64,
    /// What waited at the end of the bucket, as the queue says.
    pub depth: u64,
    /// From first try to a worker's beginning: the median of those that began in it; 0 where none did.
    pub wait_p50_ms: f64,
    /// The same: what one in a hundred waited longer than.
    pub wait_p99_ms: f64,
    /// What the model's provider refused.
    pub provider_429: u64,
    /// Calls that the model answered.
    pub model_answered: u64,
    /// Workers that stood in a call of a tool that hung, at the end of the bucket.
    pub workers_stalled: u64,
    /// Workers that had an invocation in hand, at the end of the bucket.
    pub workers_busy: u64,
}

/// A failure that the scenario is made to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name: "lost updates".
    pub name: String,
    /// Whether it was seen on the unprotected side.
    pub seen: bool,
    /// What was seen, with figures.
    pub detail: String,
}

/// What must hold on the protected side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What is promised: "no update is lost".
    pub name: String,
    /// Whether it held.
    pub held: bool,
    /// What was counted, with figures.
    pub detail: String,
}

/// Under this name [`Outcome::terms`] tells what of the scenario could not be played here, and why.
pub const LEFT_OUT: &str = "left out";

impl Outcome {
    /// What of the scenario could not be played here, and why.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(|(name, _)| name == LEFT_OUT).map(|(_, why)| why.as_str())
    }

    /// Whether every promise held.
    pub fn is_kept(&self) -> bool {
        self.promises.iter().all(|promise| promise.held)
    }

    /// A side's name and itself, the unprotected one first.
    pub fn sides(&self) -> impl Iterator<Item = (&'static str, &Side)> {
        self.off.iter().map(|side| ("off", side)).chain([("on", &self.on)])
    }
}

impl Side {
    /// All that is one number and known, by its key in the document.
    ///
    /// # Panics
    /// Never: all of it has a JSON form.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        figures(self)
    }

    /// What came of a phase.
    pub fn part(&self, phase: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.phase == phase)
    }

    /// What came of a tenant's invocations, in a phase or at all.
    pub fn part_of(&self, tenant: &str, phase: Option<&str>) -> Option<&Part> {
        let tenant = self.tenants.iter().find(|known| known.tenant == tenant)?;
        let Some(phase) = phase else { return Some(&tenant.whole) };
        tenant.parts.iter().find(|part| part.phase == phase)
    }
}

impl Part {
    /// All that is one number and known, by its key in the document.
    ///
    /// # Panics
    /// Never: all of it has a JSON form.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        figures(self)
    }
}

fn figures(of: &impl Serialize) -> BTreeMap<String, f64> {
    entries(of).into_iter().filter_map(|(key, value)| Some((key, value.as_f64()?))).collect()
}

/// The keys of all that is one number, whether it is known or not.
pub(crate) fn names(of: &impl Serialize) -> Vec<String> {
    let is_figure = |value: &Value| value.is_number() || value.is_null();
    entries(of).into_iter().filter(|(_, value)| is_figure(value)).map(|(key, _)| key).collect()
}

fn entries(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of).expect("numbers and texts have a JSON form") {
        Value::Object(entries) => entries,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_same_keys() {
        let outcome = Outcome {
            scenario: "s".into(),
            title: String::new(),
            story: String::new(),
            factor: 1.0,
            seed: 0,
            terms: Vec::new(),
            off: Some(Side::default()),
            on: Side { success_rate: 1.0, ..Side::default() },
            failures: Vec::new(),
            promises: vec![Promise { name: "p".into(), held: false, detail: String::new() }],
        };
        let document = serde_json::to_value(&outcome).expect("it has a JSON form");
        let keys = |side: &str| document[side].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys("off"), keys("on"));
        assert!(!outcome.is_kept());
        assert_eq!(serde_json::from_value::<Outcome>(document).expect("it reads back"), outcome);
    }
}
