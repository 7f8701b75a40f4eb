use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The top-level fields of a request in the chat-completions protocol, each as its text was: what nobody here knows passes
/// untouched.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// The most answers that one request can ask for.
pub(crate) const ANSWERS_MAX: u64 = 128;

/// How many answers a field asks for; none where no provider would know either.
pub(crate) fn answers_by(fields: &Fields, name: &str) -> Option<u64> {
    let said = fields.get(name).map_or("null", |field| field.get().trim());
    let answers = if said == "null" { Some(1) } else { said.parse().ok() };
    answers.filter(|answers| (1..=ANSWERS_MAX).contains(answers))
}

/// A conversation to go on with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// The model by its name in the configuration.
    pub(crate) model: String,
    /// All but model, stream, `stream_options` and the limit of output tokens.
    pub(crate) fields: Fields,
    pub(crate) max_output_tokens: Option<u32>,
    /// The field by which its caller knows this limit.
    pub(crate) limited_by: &'static str,
    /// Of `stream_options`, all but whether the usage is told.
    pub(crate) stream_options: Fields,
    /// Among the calls of one tenant the higher starts first.
    pub(crate) priority: i32,
    /// How it is to be answered.
    pub(crate) form: Form,
    /// Its size on the wire: what it costs to keep it waiting.
    pub(crate) bytes: usize,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// What was said.
    #[default]
    Said,
    /// And the provider's own JSON, where it speaks chat completions.
    Json,
}

/// A model's wish to call a tool. The arguments are JSON as the model wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Finish {
    Stop,
    ToolCalls,
    Length,
    ContentFilter,
    /// For a reason that only the provider knows.
    #[default]
    Other,
}

/// Tokens of a call, as the provider counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// The most tokens of a call that a provider is believed.
const TOKENS_MAX: u64 = 100_000_000;

/// What a model said, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    /// Absent where the provider does not count.
    pub(crate) usage: Option<Usage>,
    /// The provider's own words, where they were asked for and it speaks chat completions.
    pub(crate) json: Option<Bytes>,
}

/// One event of an answer as it comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Chunk {
    pub(crate) parts: Vec<Part>,
    /// The provider's own words, as with [`Answer::json`].
    pub(crate) json: Option<Bytes>,
}

/// A part of what a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    /// A part of a tool call: the first one of an index names id and tool, the others add arguments.
    ToolCall {
        index: u32,
        id: String,
        name: String,
        arguments: String,
    },
    Finish(Finish),
    Usage(Usage),
}

impl Usage {
    /// Where it was counted at all, and can be: nobody reads nothing, and no call costs more than the largest contexts by far.
    pub(crate) fn believed(self) -> Option<Self> {
        let counts = [self.input_tokens, self.output_tokens];
        (self.total() > 0 && counts.iter().all(|tokens| *tokens <= TOKENS_MAX)).then_some(self)
    }

    pub(crate) fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Answer {
    /// Adds a part.
    pub(crate) fn add(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text.push_str(text),
            Part::ToolCall { index, id, name, arguments } => {
                let index = *index as usize;
                if self.tool_calls.len() <= index {
                    self.tool_calls.resize(index + 1, ToolCall::default());
                }
                let call = &mut self.tool_calls[index];
                call.id.push_str(id);
                call.name.push_str(name);
                call.arguments.push_str(arguments);
            }
            Part::Finish(finish) => self.finish = *finish,
            Part::Usage(usage) => self.usage = Some(*usage),
        }
    }
}
