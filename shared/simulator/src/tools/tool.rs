//! One tool: what it answers, what it did.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::customers;
use crate::{
    changes::Changes,
    config,
    counts::ToolCounts,
    faults::{Dice, Fate, Faults},
    template,
};

/// An effect that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The `Idempotency-Key` that came with the call, where one came.
    pub key: Option<String>,
    /// The arguments of the first call with this key.
    pub arguments: Value,
    /// How many calls showed this key.
    pub calls: u64,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

/// A simulated tool.
#[derive(Debug)]
pub(crate) struct Tool {
    name: String,
    effects_max: usize,
    state: Mutex<State>,
    changes: Changes,
}

#[derive(Debug)]
struct State {
    answer: Option<Value>,
    dice: Dice,
    counts: ToolCounts,
    /// The newest effects, oldest first; `first` is the number of the oldest.
    effects: VecDeque<(Effect, Answer)>,
    first: usize,
    numbers: HashMap<String, usize>,
}

impl Tool {
    pub(crate) fn new(name: &str, settings: config::Tool, effects_max: usize, seed: u64, changes: Changes) -> Self {
        let state = State {
            answer: settings.answer,
            dice: Dice::new(settings.faults, seed),
            counts: ToolCounts::default(),
            effects: VecDeque::new(),
            first: 0,
            numbers: HashMap::new(),
        };
        Self { name: name.to_owned(), effects_max, state: Mutex::new(state), changes }
    }

    pub(crate) fn set(&self, settings: config::Tool) {
        let mut state = self.state.lock();
        state.answer = settings.answer;
        state.dice.set(settings.faults);
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state.lock().dice.set(faults);
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.state.lock().effects.iter().map(|(effect, _)| effect.clone()).collect()
    }

    pub(crate) fn counts(&self) -> ToolCounts {
        self.state.lock().counts.clone()
    }

    pub(crate) fn reset(&self) {
        self.change(|state| {
            state.counts = ToolCounts { open: state.counts.open, ..ToolCounts::default() };
            state.effects.clear();
            state.numbers.clear();
            state.first = 0;
        });
    }

    /// A call arrives.
    pub(crate) fn arrive(self: &Arc<Self>) -> Call {
        self.change(|state| {
            state.counts.calls += 1;
            state.counts.open += 1;
            state.counts.open_max = state.counts.open_max.max(state.counts.open);
        });
        Call { tool: Arc::clone(self), ended: false }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changes.ring();
        changed
    }

    fn answer(&self, template: Option<&Value>, arguments: &Value, number: usize) -> Answer {
        let find = |path: &str| match path.split_once('.').unwrap_or((path, "")) {
            ("arguments", path) => template::at(arguments, path).cloned(),
            ("number", _) => Some(number.into()),
            _ => None,
        };
        let body = match template {
            Some(template) => Ok(template::render(template, &find)),
            None => customers::answer(&self.name, arguments, number).unwrap_or_else(|| Ok(arguments.clone())),
        };
        match body {
            Ok(body) => Answer { status: StatusCode::OK, body },
            Err(why) => Answer { status: StatusCode::NOT_FOUND, body: json!({"error": why}) },
        }
    }
}

/// A call in hand. It ends when this is dropped: in full, with an error, or broken off.
#[derive(Debug)]
pub(crate) struct Call {
    tool: Arc<Tool>,
    ended: bool,
}

impl Call {
    pub(crate) fn fate(&self) -> Fate {
        self.tool.change(|state| {
            let fate = state.dice.throw(Instant::now()).unwrap_or(Fate::UNDISTURBED);
            state.counts.hung += u64::from(fate.hangs);
            fate
        })
    }

    /// Does what the tool is for: once for each key.
    pub(crate) fn act(&self, key: Option<String>, arguments: Value) -> Answer {
        self.tool.change(|state| {
            if let Some(known) = key.as_ref().and_then(|key| state.repeated(key)) {
                return known;
            }
            let number = state.first + state.effects.len();
            let answer = self.tool.answer(state.answer.as_ref(), &arguments, number);
            if answer.status.is_success() {
                state.counts.effects += 1;
                state.remember(Effect { key, arguments, calls: 1 }, answer.clone(), self.tool.effects_max);
            }
            answer
        })
    }

    /// Does it, and nobody will hear of it.
    pub(crate) fn act_in_vain(&self, key: Option<String>, arguments: Value) -> Answer {
        let answer = self.act(key, arguments);
        self.tool.change(|state| state.counts.lost += 1);
        answer
    }

    pub(crate) fn answered(self) {
        self.end(|counts| counts.answered += 1);
    }

    pub(crate) fn failed(self) {
        self.end(|counts| counts.errors += 1);
    }

    fn end(mut self, count: impl FnOnce(&mut ToolCounts)) {
        self.ended = true;
        self.tool.change(|state| {
            state.counts.open -= 1;
            count(&mut state.counts);
        });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.tool.change(|state| {
                state.counts.open -= 1;
                state.counts.broken_off += 1;
            });
        }
    }
}

impl State {
    fn repeated(&mut self, key: &str) -> Option<Answer> {
        let place = self.numbers.get(key)?.checked_sub(self.first)?;
        let (effect, answer) = self.effects.get_mut(place)?;
        effect.calls += 1;
        self.counts.repeats += 1;
        Some(answer.clone())
    }

    fn remember(&mut self, effect: Effect, answer: Answer, most: usize) {
        if self.effects.len() >= most
            && let Some((oldest, _)) = self.effects.pop_front()
        {
            self.first += 1;
            oldest.key.and_then(|key| self.numbers.remove(&key));
        }
        if let Some(key) = &effect.key {
            self.numbers.insert(key.clone(), self.first + self.effects.len());
        }
        self.effects.push_back((effect, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_effect_once_and_memory_is_bounded() {
        let tool = Arc::new(Tool::new("record_decision", config::Tool::default(), 2, 0, Changes::new()));
        let act = |key: &str| tool.arrive().act(Some(key.into()), json!({"customer_id": "C-1001", "decision": key}));
        let first = act("a");
        assert_eq!(act("a"), first, "a repeat gets the first answer");
        act("b");
        act("c");
        assert_eq!(tool.counts().effects, 3);
        assert_eq!(tool.counts().repeats, 1);
        let kept: Vec<_> = tool.effects().into_iter().filter_map(|effect| effect.key).collect();
        assert_eq!(kept, ["b", "c"]);
        assert_ne!(act("b"), first);
        assert_eq!(tool.counts().repeats, 2);
    }
}
