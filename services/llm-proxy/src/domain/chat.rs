/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    /// For [`Role::Tool`]: the call that it answers.
    pub(crate) tool_call_id: String,
}

/// A model's wish to call a tool. The arguments are JSON as the model wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) input_schema: serde_json::Value,
}

/// A conversation to go on with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// The model by its name in the configuration.
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_output_tokens: Option<u32>,
    /// Further fields for the provider.
    pub(crate) extra: serde_json::Map<String, serde_json::Value>,
    /// Its size on the wire: what it costs to keep it waiting.
    pub(crate) bytes: usize,
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

/// What a model said, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
    /// Absent where the provider does not count.
    pub(crate) usage: Option<Usage>,
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
