//! Answers by rule: the first rule whose conditions all hold decides what the model says.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::{Answer, Call},
    conversation::Conversation,
};
use crate::template::{plain, render, render_text};

/// The demonstration agent `disputes`.
static BUILT_IN: LazyLock<Vec<Rule>> =
    LazyLock::new(|| serde_json::from_str(include_str!("disputes.json")).expect("the built-in rules are valid"));

/// When, and what then.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// What it is for: for people.
    pub name: String,
    /// The conditions; all must hold.
    pub when: When,
    /// The text that the model says, with templates.
    pub text: Option<String>,
    /// A JSON value that the model says, with templates.
    pub json: Option<Value>,
    /// The tools that it calls, in this order.
    pub calls: Vec<RuleCall>,
}

/// A tool call of a rule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCall {
    /// The tool.
    pub tool: String,
    /// Its arguments, with templates.
    #[serde(default)]
    pub arguments: Value,
}

/// Conditions on a conversation. A path names a value as in a template: `user.customer_id`, `result.lookup.status`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The model's name.
    pub model: Option<String>,
    /// The tools that must be offered.
    pub offers: Vec<String>,
    /// The tools that have answered.
    pub answered: Vec<String>,
    /// The tools that have not answered.
    pub unanswered: Vec<String>,
    /// What the user said last contains this.
    pub user_says: Option<String>,
    /// Values that must be equal to these.
    pub equal: BTreeMap<String, Value>,
    /// Values that must contain these texts, whatever their case.
    pub contain: BTreeMap<String, String>,
    /// Values that must not be there.
    pub absent: Vec<String>,
}

impl When {
    fn holds(&self, conversation: &Conversation) -> bool {
        let contains = |value: &Value, text: &str| plain(value).to_lowercase().contains(&text.to_lowercase());
        self.model.as_ref().is_none_or(|model| *model == conversation.model)
            && self.offers.iter().all(|tool| conversation.offers(tool))
            && self.answered.iter().all(|tool| conversation.result(tool).is_some())
            && self.unanswered.iter().all(|tool| conversation.result(tool).is_none())
            && self.user_says.as_ref().is_none_or(|text| contains(&conversation.user().into(), text))
            && self.equal.iter().all(|(path, wanted)| conversation.find(path).as_ref() == Some(wanted))
            && self
                .contain
                .iter()
                .all(|(path, text)| conversation.find(path).is_some_and(|found| contains(&found, text)))
            && self.absent.iter().all(|path| conversation.find(path).is_none())
    }
}

/// What the model says by these rules, then by the built-in ones, and where none holds.
pub(crate) fn answer(rules: &[Rule], conversation: &Conversation) -> Answer {
    let found = rules.iter().chain(BUILT_IN.iter()).find(|rule| rule.when.holds(conversation));
    found.map_or_else(|| echo(conversation), |rule| rule.answer(conversation))
}

impl Rule {
    fn answer(&self, conversation: &Conversation) -> Answer {
        let find = |path: &str| conversation.find(path);
        let json = self.json.as_ref().map(|json| render(json, &find).to_string());
        let text = self.text.as_ref().map(|text| plain(&render_text(text, &find)));
        let calls = self
            .calls
            .iter()
            .map(|call| Call { tool: call.tool.clone(), arguments: render(&call.arguments, &find).to_string() });
        Answer { text: json.or(text).unwrap_or_default(), calls: calls.collect() }
    }
}

fn echo(conversation: &Conversation) -> Answer {
    let said: String = conversation.user().chars().take(2_000).collect();
    Answer { text: format!("This is a simulated model. You said: {said}"), calls: Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn talk(messages: Value) -> Answer {
        let tools = ["lookup_customer", "lookup_payment", "state_get", "record_decision"];
        let tools: Vec<_> = tools.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        let body = json!({"model": "simulated-model", "messages": messages, "tools": tools});
        answer(&[], &serde_json::from_value(body).expect("a conversation"))
    }

    /// The conversation of a dispute, gone on with as long as the model calls tools, which answer as they are told.
    fn dispute(results: &Value) -> (Vec<String>, Value) {
        let mut messages = vec![json!({"role": "user", "content": r#"{"customer_id":"C-1001","message":"Not mine"}"#})];
        let mut called = Vec::new();
        loop {
            let answer = talk(messages.clone().into());
            if answer.calls.is_empty() {
                return (called, serde_json::from_str(&answer.text).expect("the answer is JSON"));
            }
            let ids = called.len();
            let calls: Vec<_> = answer.calls.iter().enumerate().map(|(i, call)| {
                json!({"id": format!("{}", ids + i), "function": {"name": call.tool, "arguments": call.arguments}})
            }).collect();
            messages.push(json!({"role": "assistant", "content": "", "tool_calls": calls}));
            for call in &answer.calls {
                let result = results.get(&call.tool).map_or("null".into(), Value::to_string);
                messages.push(json!({"role": "tool", "tool_call_id": format!("{}", called.len()), "content": result}));
                called.push(call.tool.clone());
            }
        }
    }

    #[test]
    fn a_dispute_looks_up_checks_decides_and_records() {
        let payment =
            json!({"payment_id": "P-1", "amount": "12.00", "currency": "EUR", "merchant": "M", "authenticated": false});
        let (called, answer) = dispute(&json!({"lookup_payment": payment, "lookup_customer": {"name": "Ada"}}));
        assert_eq!(called, ["lookup_customer", "lookup_payment", "state_get", "record_decision"]);
        assert_eq!(answer["decision"], "refund");
    }

    #[test]
    fn a_confirmed_payment_is_not_refunded() {
        let payment = json!({"payment_id": "P-1", "authenticated": true});
        let (_, answer) = dispute(&json!({"lookup_payment": payment}));
        assert_eq!(answer["decision"], "reject");
    }

    #[test]
    fn what_cannot_be_decided_goes_to_a_person() {
        let payment = json!({"payment_id": "P-1", "authenticated": false});
        let (_, answer) = dispute(&json!({"lookup_payment": payment, "state_get": {"value": "frozen"}}));
        assert_eq!(answer["decision"], "escalate");
        let (_, answer) = dispute(&json!({"lookup_payment": {"unavailable": "come back later"}}));
        assert_eq!(answer["decision"], "escalate");
    }
}
