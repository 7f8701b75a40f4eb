//! What the model says, whatever protocol it is written in: whole, or beat by beat.

use super::conversation::{Conversation, tokens};

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
}

/// A tool that it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: String,
}

/// An answer to a conversation, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    pub(crate) answer: Answer,
    pub(crate) model: String,
    pub(crate) step: usize,
    pub(crate) finish: Finish,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

/// Why the model stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    ToolCalls,
    Length,
}

/// One event of a stream. Texts are named by their place in the answer: a stream is made as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Open,
    TextOpens,
    Text {
        from: usize,
        to: usize,
    },
    CallOpens {
        call: usize,
    },
    Arguments {
        call: usize,
        from: usize,
        to: usize,
    },
    /// A text or a call is complete.
    BlockEnds {
        block: usize,
    },
    Finish,
    Usage,
    End,
}

/// Characters of text in one event of a stream, at four to a token.
const PIECE: usize = 8;

impl Completion {
    pub(crate) fn new(conversation: &Conversation, mut answer: Answer) -> Self {
        let mut finish = if answer.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        if let Some(most) = conversation.max_tokens()
            && tokens(answer.length()) > most
        {
            answer.text = answer.text.chars().take(most as usize * 4).collect();
            answer.calls.clear();
            finish = Finish::Length;
        }
        Self {
            completion_tokens: tokens(answer.length()),
            answer,
            model: conversation.model.clone(),
            step: conversation.step(),
            finish,
            prompt_tokens: conversation.tokens(),
        }
    }

    /// Every event of the stream, and how many tokens are written with it: together the whole answer's.
    pub(crate) fn beats(&self) -> Vec<(Beat, u64)> {
        let mut beats = Beats { all: vec![(Beat::Open, 0)], written: 0, characters: 0 };
        let Answer { text, calls } = &self.answer;
        let mut block = 0;
        if !text.is_empty() {
            beats.push(Beat::TextOpens, 0);
            pieces(text).for_each(|(from, to)| beats.push(Beat::Text { from, to }, to - from));
            beats.push(Beat::BlockEnds { block }, 0);
            block += 1;
        }
        for (call, Call { tool, arguments }) in calls.iter().enumerate() {
            beats.push(Beat::CallOpens { call }, tool.len());
            pieces(arguments).for_each(|(from, to)| beats.push(Beat::Arguments { call, from, to }, to - from));
            beats.push(Beat::BlockEnds { block: block + call }, 0);
        }
        let rest = self.completion_tokens.saturating_sub(beats.written);
        beats.all.extend([(Beat::Finish, rest), (Beat::Usage, 0), (Beat::End, 0)]);
        beats.all
    }

    /// The place of a call among the blocks of an answer.
    pub(crate) fn block_of(&self, call: usize) -> usize {
        call + usize::from(!self.answer.text.is_empty())
    }
}

struct Beats {
    all: Vec<(Beat, u64)>,
    written: u64,
    characters: usize,
}

impl Beats {
    fn push(&mut self, beat: Beat, characters: usize) {
        self.characters += characters;
        let written = self.characters as u64 / 4;
        self.all.push((beat, written - self.written));
        self.written = written;
    }
}

impl Answer {
    fn length(&self) -> usize {
        self.text.len() + self.calls.iter().map(|call| call.tool.len() + call.arguments.len()).sum::<usize>()
    }

    /// An answer of exactly so many tokens.
    pub(crate) fn of_length(tokens: u64) -> Self {
        const WORDS: &str = "and so on, ";
        let length = tokens as usize * 4;
        let mut text = WORDS.repeat(length / WORDS.len() + 1);
        text.truncate(length);
        Self { text, calls: Vec::new() }
    }
}

/// A text in pieces, cut between characters: where each begins and ends.
fn pieces(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let starts = text.char_indices().step_by(PIECE).map(|(at, _)| at);
    let ends = starts.clone().skip(1).chain([text.len()]);
    starts.zip(ends)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completion(answer: Answer, max_tokens: u64) -> Completion {
        let body = json!({"model": "m", "messages": [], "max_tokens": max_tokens});
        Completion::new(&serde_json::from_value(body).expect("a conversation"), answer)
    }

    fn written(completion: &Completion) -> u64 {
        completion.beats().iter().map(|(_, tokens)| tokens).sum()
    }

    #[test]
    fn a_stream_writes_as_many_tokens_as_the_whole_answer_has() {
        let call = Call { tool: "look_up".into(), arguments: r#"{"id":"C-1001"}"#.into() };
        let answer = Answer { text: "Ich prüfe das für Sie.".into(), calls: vec![call.clone(), call] };
        let completion = completion(answer, 1_000);
        assert_eq!(written(&completion), completion.completion_tokens);
        let text: String = completion
            .beats()
            .iter()
            .filter_map(|(beat, _)| match *beat {
                Beat::Text { from, to } => Some(&completion.answer.text[from..to]),
                _ => None,
            })
            .collect();
        assert_eq!(text, completion.answer.text);
    }

    #[test]
    fn a_length_is_kept_to_the_token_and_cut_by_the_caller() {
        for tokens in [1, 2, 3, 500] {
            let completion = completion(Answer::of_length(tokens), 1_000);
            assert_eq!((completion.completion_tokens, written(&completion)), (tokens, tokens));
        }
        let cut = completion(Answer::of_length(500), 64);
        assert_eq!((cut.completion_tokens, cut.finish), (64, Finish::Length));
    }
}
