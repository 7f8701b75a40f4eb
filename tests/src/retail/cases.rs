//! The recorded cases: for the tests, never for the running tool server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::view::{ORDERS, PRODUCTS, USERS, View};

/// One customer's case.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Its number.
    pub id: u32,
    /// What the customer wants.
    pub instruction: String,
    /// What solves it, in order.
    pub actions: Vec<Action>,
    /// Every record that differs at the end, whole, by kind and id.
    pub changed: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One tool call of a case.
#[derive(Debug, Clone, Deserialize)]
pub struct Action {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
    /// What the original tool returned.
    pub result: String,
}

/// The records from which every case starts, by kind and id.
#[derive(Debug, Clone)]
pub struct Records(BTreeMap<&'static str, BTreeMap<String, Value>>);

impl Records {
    /// Reads them, or None where the material is not there.
    pub fn load() -> Option<Self> {
        let kinds = [ORDERS, USERS, PRODUCTS].into_iter();
        let all = kinds.map(|kind| Some((kind, read(&format!("retail/{kind}.json"))?)));
        all.collect::<Option<_>>().map(Self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, &Value)> {
        self.0.iter().flat_map(|(kind, records)| records.iter().map(|(id, record)| (*kind, id.as_str(), record)))
    }

    /// Those that differ from these, in the form of a case's `changed`.
    pub fn differing(
        &self,
        written: impl IntoIterator<Item = ((&'static str, String), Value)>,
    ) -> BTreeMap<String, BTreeMap<String, Value>> {
        let mut by_kind = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((kind, id), record) in written {
            if self.0[kind].get(&id) != Some(&record) {
                by_kind.entry(kind.to_owned()).or_default().insert(id, record);
            }
        }
        by_kind
    }

    /// A view that lacks nothing.
    pub fn view(&self) -> View {
        let mut view = View::default();
        for (kind, id, record) in self.iter() {
            view.learn(kind, id, Some(record.clone()));
            view.learned_all(kind);
        }
        view
    }
}

impl Case {
    /// Reads all cases, or None where the material is not there.
    pub fn load_all() -> Option<Vec<Self>> {
        read("retail/tasks.json")
    }
}

/// The tools' definitions as the material has them: name, description and parameters.
pub fn tools() -> Option<Vec<Value>> {
    read("retail/tools.json")
}

fn read<T: serde::de::DeserializeOwned>(path: &str) -> Option<T> {
    let file = holdfast_testkit::data(path)?;
    let text = std::fs::read_to_string(&file).expect("the material can be read");
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// Equal as JSON where both are JSON, else as text.
pub fn same_result(one: &str, other: &str) -> bool {
    let parsed = (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other));
    if let (Ok(one), Ok(other)) = parsed { one == other } else { one == other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retail::{Missing, apply};

    #[test]
    fn every_recorded_case_gives_its_results_and_its_changes() {
        let (Some(base), Some(cases)) = (Records::load(), Case::load_all()) else { return };
        assert_eq!((base.iter().count(), cases.len()), (1_550, 115));
        for case in cases {
            let mut view = base.view();
            for action in &case.actions {
                let result = apply(&action.name, &action.arguments, &mut view).expect("the view lacks nothing");
                assert!(same_result(&result, &action.result), "case {} {}: {result}", case.id, action.name);
            }
            assert_eq!(base.differing(view.take_changed()), case.changed, "case {}", case.id);
        }
    }

    /// The running server learns what it lacks, one thing after the other.
    #[test]
    fn a_tool_that_lacks_something_changes_nothing_and_then_answers_alike() {
        let (Some(base), Some(cases)) = (Records::load(), Case::load_all()) else { return };
        let whole = base.view();
        for case in cases {
            let mut view = View::default();
            for action in &case.actions {
                let result = loop {
                    match apply(&action.name, &action.arguments, &mut view) {
                        Ok(result) => break result,
                        Err(Missing::Record(kind, id)) => {
                            let record = whole.get(kind, &id).unwrap().cloned();
                            view.learn(kind, id, record);
                        }
                        Err(Missing::All(kind)) => {
                            for (id, record) in whole.all(kind).unwrap() {
                                // What the case has changed already stands in the view, and wins.
                                if view.get(kind, id).is_err() {
                                    view.learn(kind, id, Some(record.clone()));
                                }
                            }
                            view.learned_all(kind);
                        }
                    }
                };
                assert!(same_result(&result, &action.result), "case {} {}: {result}", case.id, action.name);
            }
            assert_eq!(base.differing(view.take_changed()), case.changed, "case {}", case.id);
        }
    }

    #[test]
    fn the_material_names_exactly_the_tools_that_the_desk_has() {
        let (Some(tools), Some(records)) = (tools(), Records::load()) else { return };
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            let result = apply(name, &Value::Null, &mut records.view()).unwrap();
            assert_ne!(result, format!("Error: there is no tool {name}"));
        }
        assert_eq!(tools.len(), 16);
    }
}
