//! Records, their past and their locks.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_sdk::state::{Address, Change, Edition, LockInfo, Record, Version};
use serde_json::{Value, json};

use super::json::content_json;
use super::timestamp;

/// A content in a row is cut to so many characters.
const CONTENT_CHARS_MAX: usize = 100;

/// A version as it is carried on a command line: opaque, and safe in a shell.
pub(crate) fn version(version: &Version) -> String {
    URL_SAFE_NO_PAD.encode(&version.0)
}

/// Reads what [`version`] wrote.
pub(crate) fn parse_version(text: &str) -> Result<Version, String> {
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(Version(bytes.into())),
        _ => Err("is not a version as `state get` prints it".to_owned()),
    }
}

/// A record. What is empty or absent is left out.
pub(crate) fn record_json(record: &Record, staleness: Option<Duration>) -> Value {
    let Address { namespace, partition, key } = &record.address;
    let mut document = json!({"namespace": namespace, "partition": partition, "key": key,
        "version": version(&record.version), "revision": record.revision});
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[name] = value;
        }
    };
    put("value", record.value.as_ref().map(|value| content_json(&value.data, &value.content_type)));
    let content_type = record.value.as_ref().map_or("", |value| &value.content_type);
    put("content_type", (!content_type.is_empty()).then(|| json!(content_type)));
    put("written_at", record.writer.time.map(|at| json!(time(at))));
    put("write_id", (!record.writer.write_id.is_empty()).then(|| json!(record.writer.write_id)));
    put("invocation_id", (!record.writer.invocation_id.is_empty()).then(|| json!(record.writer.invocation_id)));
    put("expires_at", record.expires.map(|at| json!(time(at))));
    put("staleness_ms", staleness.map(|age| json!(age.as_millis() as u64)));
    document
}

/// What a write made of a record.
pub(crate) fn edition_json(edition: &Edition) -> Value {
    let mut document = record_json(&edition.record, None);
    document["deleted"] = json!(edition.deleted);
    document["overwrote"] = json!(edition.overwrote);
    document
}

/// One change, with where to go on after it.
pub(crate) fn change_json(change: &Change) -> Value {
    let mut document = edition_json(&change.edition);
    document["token"] = json!(change.token);
    document
}

/// A lock that is held.
pub(crate) fn lock_json(lock: &LockInfo) -> Value {
    json!({"name": lock.name, "fence": lock.fence, "holder": lock.holder, "ttl_ms": lock.ttl.as_millis() as u64,
        "acquired_at": lock.acquired.map(time), "waiting": lock.waiting})
}

/// A record as a short report, which ends with its content.
pub(crate) fn record(record: &Record, staleness: Option<Duration>) -> String {
    let Address { namespace, partition, key } = &record.address;
    let mut lines = vec![format!("{namespace}/{partition}/{key}  revision {}", record.revision)];
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<12}{value}"));
        }
    };
    add("version", version(&record.version));
    add("written", record.writer.time.map(time).unwrap_or_default());
    add("by", record.writer.invocation_id.clone());
    add("expires", record.expires.map(time).unwrap_or_default());
    add("staleness", staleness.map(|age| format!("{age:?} at most")).unwrap_or_default());
    match record.value.as_ref().map(|value| content_json(&value.data, &value.content_type)) {
        Some(Value::String(text)) => lines.push(text),
        Some(other) => lines.push(format!("{other:#}")),
        None => {}
    }
    lines.join("\n")
}

/// A record in a list.
pub(crate) fn record_row(record: &Record) -> String {
    let written = record.writer.time.map(time).unwrap_or_default();
    format!("{}  r{}  {written}  {}", record.address.key, record.revision, content(record))
}

/// One line of a history.
pub(crate) fn edition_row(edition: &Edition) -> String {
    let record = &edition.record;
    let written = record.writer.time.map(time).unwrap_or_default();
    let by = if record.writer.invocation_id.is_empty() { "-" } else { &record.writer.invocation_id };
    let blind = if edition.overwrote { " (blindly)" } else { "" };
    let what = if edition.deleted { "deleted".to_owned() } else { content(record) };
    format!("r{}  {written}  {by}  {}  {what}{blind}", record.revision, version(&record.version))
}

/// One change of a watched partition.
pub(crate) fn change_row(change: &Change) -> String {
    let record = &change.edition.record;
    let written = record.writer.time.map(time).unwrap_or_default();
    let what = if change.edition.deleted { "deleted".to_owned() } else { content(record) };
    format!("{}  r{}  {written}  {what}", record.address.key, record.revision)
}

/// A lock in a list.
pub(crate) fn lock_row(lock: &LockInfo) -> String {
    let since = lock.acquired.map(time).unwrap_or_default();
    let LockInfo { name, fence, holder, waiting, .. } = lock;
    format!("{name}  fence {fence}  {holder}  since {since}  {waiting} waiting")
}

/// A content on one line.
fn content(record: &Record) -> String {
    let text = match record.value.as_ref().map(|value| content_json(&value.data, &value.content_type)) {
        Some(Value::String(text)) => text.replace(char::is_control, " "),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    match text.char_indices().nth(CONTENT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn time(at: SystemTime) -> String {
    timestamp(&at.into())
}

#[cfg(test)]
mod tests {
    use holdfast_sdk::state;

    use super::*;

    fn one(data: &str) -> Record {
        Record {
            address: Address::new("accounts", "C-1", "balance"),
            value: Some(state::Value { data: data.to_owned().into(), content_type: String::new() }),
            version: Version(vec![0xfb, 0xff, 0x00].into()),
            revision: 3,
            writer: state::Writer { write_id: "w".into(), ..state::Writer::default() },
            expires: None,
        }
    }

    #[test]
    fn a_version_is_carried_as_it_was_printed() {
        let record = one("1");
        assert_eq!(version(&record.version), "-_8A");
        assert_eq!(parse_version(&version(&record.version)), Ok(record.version));
        assert!(parse_version("").is_err() && parse_version("+/8A").is_err());
    }

    #[test]
    fn a_record_for_programs_has_its_content_as_what_it_is_and_no_empty_keys() {
        let document = record_json(&one(r#"{"cents":5}"#), None);
        let wanted = json!({"namespace": "accounts", "partition": "C-1", "key": "balance", "value": {"cents": 5},
            "version": "-_8A", "revision": 3, "write_id": "w"});
        assert_eq!(document, wanted);
    }

    #[test]
    fn a_row_is_one_line_however_long_the_content_is() {
        let long = record_row(&one(&format!("\"{}\"", "x\\n".repeat(500))));
        assert!(long.lines().count() == 1 && long.chars().count() < 150, "{long}");
    }
}
