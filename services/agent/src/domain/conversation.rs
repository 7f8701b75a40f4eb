//! The messages that a model sees, rebuilt from what is recorded: so every attempt says the same.

use holdfast_proto::llm::v1::{Message, Role, ToolCall};
use holdfast_sdk::Json;

use super::answer::{ModelAnswer, ToolAnswers};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversation(Vec<Message>);

impl Conversation {
    /// Begins with the instructions and the caller's input.
    pub(crate) fn new(instructions: &str, input: &Json) -> Self {
        let mut messages = Vec::new();
        if !instructions.trim().is_empty() {
            messages.push(says(Role::System, instructions.trim().to_owned()));
        }
        let text = match input {
            Json::String(text) => text.clone(),
            Json::Null => String::new(),
            other => other.to_string(),
        };
        messages.push(says(Role::User, text));
        Self(messages)
    }

    pub(crate) fn model_said(&mut self, answer: &ModelAnswer) {
        let calls = answer.calls.iter().map(|call| ToolCall {
            id: call.id.clone(),
            name: call.tool.clone(),
            arguments: call.arguments.clone(),
        });
        self.0.push(Message { tool_calls: calls.collect(), ..says(Role::Assistant, answer.text.clone()) });
    }

    pub(crate) fn tools_said(&mut self, answers: &ToolAnswers) {
        self.0.extend(answers.answers.iter().map(|answer| Message {
            tool_call_id: answer.call_id.clone(),
            ..says(Role::Tool, answer.content.clone())
        }));
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.0.clone()
    }
}

fn says(role: Role, content: String) -> Message {
    Message { role: role.into(), content, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::answer::{Call, Stopped, ToolText};

    #[test]
    fn each_answer_of_a_tool_names_its_call() {
        let mut conversation = Conversation::new("Help.\n", &json!({ "id": 7 }));
        let call = Call { id: "c1".into(), tool: "look".into(), arguments: "{}".into() };
        conversation.model_said(&ModelAnswer {
            text: String::new(),
            calls: vec![call],
            stopped: Stopped::Done,
            deployment: String::new(),
            degraded: false,
            elapsed_ms: 0,
        });
        let answer = ToolText { call_id: "c1".into(), tool: "look".into(), content: "found".into() };
        conversation.tools_said(&ToolAnswers { answers: vec![answer], elapsed_ms: 0 });

        let messages = conversation.messages();
        let roles: Vec<_> = messages.iter().map(Message::role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
        assert_eq!((messages[0].content.as_str(), messages[1].content.as_str()), ("Help.", r#"{"id":7}"#));
        assert_eq!((messages[2].tool_calls[0].id.as_str(), messages[3].tool_call_id.as_str()), ("c1", "c1"));
    }

    #[test]
    fn a_text_is_said_as_it_is() {
        assert_eq!(Conversation::new("", &json!("hello")).messages()[0].content, "hello");
    }
}
