//! Tools that the pool itself has: the tenant's state, read and written under the invocation's lease.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use holdfast_proto::llm::v1::ToolDefinition;
use holdfast_sdk::{
    Context, Error, Json,
    state::{Address, Listing, Precondition, Record, Value, Version, Write},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

/// Their names.
pub(crate) const NAMES: [&str; 3] = ["state_get", "state_put", "state_list"];

/// Records that one listing tells a model.
const LISTED_MAX: u32 = 50;

/// Namespaces of the mesh's own: steps, recorded calls.
const RESERVED: &str = "holdfast.";

pub(crate) fn is_one(tool: &str) -> bool {
    NAMES.contains(&tool)
}

/// What a model is told of one of them.
pub(crate) fn definition(tool: &str) -> Option<ToolDefinition> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let mut properties = json!({
        "namespace": text("The kind of record."),
        "partition": text("What the record belongs to, such as an account or a session."),
    });
    let mut required = vec!["namespace", "partition"];
    if tool != "state_list" {
        properties["key"] = text("The record within its partition.");
        required.push("key");
    }
    let description = match tool {
        "state_get" => "Reads one record of the shared state, with its version.",
        "state_put" => {
            properties["value"] = json!({ "description": "The new content: any JSON." });
            properties["version"] =
                text("The version that was read; leave it out where the record does not exist yet.");
            required.push("value");
            "Writes one record of the shared state. It is refused when somebody else wrote since the version was read."
        }
        "state_list" => {
            properties["prefix"] = text("Only keys that begin so.");
            "Lists the records of one partition of the shared state, by key."
        }
        _ => return None,
    };
    let schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    Some(ToolDefinition { name: tool.into(), description: description.into(), input_schema: schema.to_string().into() })
}

/// Calls one of them, at a place in the invocation: the write of a place happens once, however often it is repeated.
pub(crate) async fn call(context: &Context, tool: &str, arguments: &Json, place: (u32, u32)) -> Result<String, Error> {
    let done = match tool {
        "state_get" => get(context, &read::<Get>(arguments)?.at).await,
        "state_put" => put(context, read(arguments)?, place).await,
        _ => list(context, read(arguments)?).await,
    };
    match done {
        Ok(answer) => Ok(answer.to_string()),
        Err(Error::Conflict(conflict)) => Ok(refused(
            "CONFLICT",
            "Somebody else wrote since. Decide anew on what the record is now, and write with its version.",
            &conflict.current,
        )),
        Err(Error::DataLoss(loss)) => Ok(refused(
            "DATA_LOSS",
            "The version that you read is gone: an acknowledged write was lost. Decide anew on what the record is now.",
            &loss.current,
        )),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Place {
    namespace: String,
    partition: String,
    key: String,
}

#[derive(Deserialize)]
struct Get {
    #[serde(flatten)]
    at: Place,
}

#[derive(Deserialize)]
struct Put {
    #[serde(flatten)]
    at: Place,
    value: Json,
    version: Option<String>,
}

#[derive(Deserialize)]
struct List {
    namespace: String,
    partition: String,
    #[serde(default)]
    prefix: String,
}

fn read<T: DeserializeOwned>(arguments: &Json) -> Result<T, Error> {
    serde_json::from_value(arguments.clone()).map_err(|error| Error::Invalid(error.to_string()))
}

fn open(namespace: &str) -> Result<(), Error> {
    match namespace.starts_with(RESERVED) {
        true => Err(Error::Invalid(format!("namespaces that begin with {RESERVED:?} are not for agents"))),
        false => Ok(()),
    }
}

impl Place {
    fn address(&self) -> Result<Address, Error> {
        open(&self.namespace)?;
        Ok(Address::new(&self.namespace, &self.partition, &self.key))
    }
}

async fn get(context: &Context, at: &Place) -> Result<Json, Error> {
    match context.state().get(&at.address()?).await? {
        Some(record) => Ok(shown(&record)),
        None => Ok(json!({ "found": false })),
    }
}

async fn put(context: &Context, put: Put, (step, index): (u32, u32)) -> Result<Json, Error> {
    let precondition = match put.version.filter(|version| !version.is_empty()) {
        None => Precondition::Absent,
        Some(version) => match URL_SAFE_NO_PAD.decode(&version) {
            Ok(bytes) => Precondition::Version(Version(bytes.into())),
            Err(_) => return Err(Error::Invalid(format!("version {version:?} was never read"))),
        },
    };
    let write_id = context.write_id(&format!("tool.{step}.{index}"));
    let write = Write::new(put.at.address()?, Value::json(&put.value)?, precondition).with_id(write_id);
    let written = context.state().write(write).await?;
    Ok(json!({ "written": true, "version": URL_SAFE_NO_PAD.encode(&written.version.0), "revision": written.revision }))
}

async fn list(context: &Context, list: List) -> Result<Json, Error> {
    open(&list.namespace)?;
    let listing = Listing {
        namespace: list.namespace,
        partition: list.partition,
        prefix: list.prefix,
        page_size: LISTED_MAX,
        page_token: String::new(),
    };
    let page = context.state().list(listing).await?;
    let records: Vec<_> = page.records.iter().map(shown).collect();
    Ok(json!({ "records": records, "more": !page.next.is_empty() }))
}

fn shown(record: &Record) -> Json {
    let value = record.value.as_ref().map(|value| {
        serde_json::from_slice(&value.data)
            .unwrap_or_else(|_| Json::String(String::from_utf8_lossy(&value.data).into_owned()))
    });
    json!({
        "found": value.is_some(),
        "key": record.address.key,
        "value": value,
        "version": URL_SAFE_NO_PAD.encode(&record.version.0),
        "revision": record.revision,
    })
}

fn refused(error: &str, message: &str, current: &Record) -> String {
    json!({ "error": error, "message": message, "current": shown(current) }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_tool_says_what_it_takes() {
        for name in NAMES {
            let definition = definition(name).expect("it is one");
            let schema: Json = serde_json::from_slice(&definition.input_schema).expect("JSON");
            let required: Vec<_> = schema["required"].as_array().expect("a list").iter().collect();
            assert!(required.iter().all(|key| schema["properties"].get(key.as_str().expect("a name")).is_some()));
        }
        assert!(definition("state_drop").is_none() && !is_one("state_drop"));
    }

    #[test]
    fn the_meshs_own_namespaces_are_closed() {
        assert!(open("accounts").is_ok() && open("holdfast.steps").is_err());
    }
}
