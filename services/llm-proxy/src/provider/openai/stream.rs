use bytes::Bytes;

use super::{
    super::{
        Failure,
        http::{Reader, judge_said},
        told,
    },
    answer::{Choice, Completion},
    calls::Calls,
};
use crate::domain::{Chunk, Form, Part};

/// What is broken: it is no event of this protocol.
const NO_EVENT: Failure = Failure::Broken { how: "sent an event that is not one" };

/// Reads the events of one answer.
#[derive(Debug)]
pub(crate) struct Parts {
    form: Form,
    calls: Calls,
    /// Of each answer that was begun, where several were asked for, whether it is finished.
    finished: Vec<bool>,
    ended: bool,
    /// What the provider calls its answer: every event says it.
    told: bool,
}

/// The most answers to one request.
const ANSWERS_MAX: usize = 1_024;

impl Parts {
    pub(super) fn new(form: Form) -> Self {
        Self { form, calls: Calls::default(), finished: Vec::new(), ended: false, told: false }
    }

    /// The parts of an event; those of the first answer, where there are several.
    fn parts(&mut self, data: &[u8]) -> Result<Vec<Part>, Failure> {
        let mut completion = Completion::read(data).map_err(|failure| failure.unwrap_or(NO_EVENT))?;
        if !completion.is_one() {
            // Some providers begin with an event that has nothing in it.
            judge_said(data).map_or(Ok(()), Err)?;
        }
        if !std::mem::replace(&mut self.told, true) {
            told::response_id(completion.id.as_deref());
        }
        for choice in completion.choices.iter().flatten() {
            self.note(choice)?;
        }
        let mut parts = Vec::new();
        if let Some(choice) = completion.first() {
            let finish = choice.finish()?;
            let mut said = choice.said();
            let calls = said.tool_calls.take();
            parts.extend(said.text().map(Part::Text));
            for mut call in calls.into_iter().flatten() {
                let (name, arguments) = call.take();
                let (index, id, name) = self.calls.place(call.index, call.id.unwrap_or_default(), name)?;
                parts.push(Part::ToolCall { index, id, name, arguments });
            }
            parts.extend(finish.map(Part::Finish));
        }
        parts.extend(completion.usage().map(Part::Usage));
        Ok(parts)
    }

    fn note(&mut self, choice: &Choice<'_>) -> Result<(), Failure> {
        let at = choice.index() as usize;
        if at >= ANSWERS_MAX {
            return Err(NO_EVENT);
        }
        if self.finished.len() <= at {
            self.finished.resize(at + 1, false);
        }
        self.finished[at] |= choice.finish()?.is_some();
        Ok(())
    }
}

impl Reader for Parts {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Failure> {
        if &data[..] == b"[DONE]" {
            self.ended = true;
            return Ok(None);
        }
        let parts = self.parts(&data)?;
        // A copy: what waits for a reader must not hold all that was read with it.
        let json = (self.form == Form::Json).then(|| Bytes::copy_from_slice(&data));
        Ok(Some(Chunk { parts, json }))
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn complete(&self) -> bool {
        !self.finished.is_empty() && self.finished.iter().all(|finished| *finished)
    }
}

#[cfg(test)]
mod tests;
