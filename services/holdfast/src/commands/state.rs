//! `state get`, `put`, `delete`, `list`, `history`, `locks`, `watch` and `restored`.

use holdfast_config::Common;
use holdfast_rpc::service::Settings as _;
use holdfast_sdk::Error;
use holdfast_sdk::state::{
    Address, Deletion, Durability, Listing, Precondition, State, Value, Version, Watching, Write,
};
use holdfast_state::Config;
use serde_json::json;

use super::gateway::{self, Gateway};
use super::input;
use crate::cli::{
    Global, StateAddress, StateCommand, StateDelete, StateGet, StateHistory, StateList, StateLocks, StatePut,
    StateWatch,
};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};
use crate::source::{Overrides, Source};

/// The most that the service gives in one page.
const PAGE_MAX: usize = 1_000;

/// Runs a command on records.
pub(super) async fn run(
    command: StateCommand,
    global: &Global,
    source: &Source,
    output: Output,
) -> Result<Exit, Failure> {
    let gateway = || gateway::find(global);
    match command {
        StateCommand::Get(arguments) => get(&gateway()?, arguments, output).await,
        StateCommand::Put(arguments) => put(&gateway()?, arguments, output).await,
        StateCommand::Delete(arguments) => delete(&gateway()?, arguments, output).await,
        StateCommand::List(arguments) => list(&gateway()?, arguments, output).await,
        StateCommand::History(arguments) => history(&gateway()?, arguments, output).await,
        StateCommand::Locks(arguments) => locks(&gateway()?, arguments, output).await,
        StateCommand::Watch(arguments) => watch(&gateway()?, arguments, output).await,
        StateCommand::Restored => restored(source, output).await,
    }
}

/// Ends the epoch of the configured store itself.
async fn restored(source: &Source, output: Output) -> Result<Exit, Failure> {
    let document = source.load(&Overrides::new())?;
    let (common, config) = (Common::from_document(&document)?, Config::from_document(&document)?);
    let ended = holdfast_state::restored::end_epoch(&common, &config).await;
    let ended = ended.map_err(|error| Failure::Machine(error.to_string()))?;
    let epoch = ended.map(|lost| lost.ended.epoch.to_string());
    output.print(
        || json!({"ended_epoch": epoch}),
        || match &epoch {
            Some(epoch) => {
                format!("epoch {epoch} has ended: versions of it that are gone are told as lost from now on")
            }
            None => "there is no epoch to end: nothing was ever kept here".to_owned(),
        },
    );
    Ok(Exit::Done)
}

async fn state(gateway: &Gateway) -> Result<State, Failure> {
    Ok(gateway.client().await?.state())
}

async fn get(gateway: &Gateway, arguments: StateGet, output: Output) -> Result<Exit, Failure> {
    let state = state(gateway).await?;
    let address = address(arguments.address);
    let (found, staleness) = match (&arguments.at_version, arguments.max_staleness) {
        (Some(version), _) => (state.get_at(&address, version).await?, None),
        (None, Some(most)) => match state.get_stale(&address, most).await? {
            Some(seen) => (Some(seen.found), Some(seen.staleness)),
            None => (None, None),
        },
        (None, None) => (state.get(&address).await?, None),
    };
    let record = found.ok_or_else(|| not_there(&address))?;
    output.print(|| output::record_json(&record, staleness), || output::record(&record, staleness));
    Ok(Exit::Done)
}

fn write(arguments: StatePut) -> Result<Write, Failure> {
    let value = match arguments.content_type {
        None => Value { data: input::json(&arguments.value)?.into(), content_type: String::new() },
        Some(kind) => Value { data: input::text(&arguments.value)?.into(), content_type: kind },
    };
    let precondition = precondition(arguments.version, arguments.overwrite);
    let mut write = Write::new(address(arguments.address), value, precondition);
    if let Some(id) = arguments.write_id {
        write = write.with_id(id);
    }
    if arguments.cached {
        write = write.with_durability(Durability::Cached);
    }
    Ok(Write { ttl: arguments.ttl, ..write })
}

async fn put(gateway: &Gateway, arguments: StatePut, output: Output) -> Result<Exit, Failure> {
    // What does not hold is told before anybody is asked.
    let write = write(arguments)?;
    let written = state(gateway).await?.write(write).await?;
    let version = output::version(&written.version);
    output.print(
        || json!({"version": version, "revision": written.revision}),
        || format!("revision {}  version {version}", written.revision),
    );
    Ok(Exit::Done)
}

async fn delete(gateway: &Gateway, arguments: StateDelete, output: Output) -> Result<Exit, Failure> {
    let precondition = precondition(arguments.version, arguments.overwrite);
    state(gateway).await?.remove(Deletion::new(address(arguments.address), precondition)).await?;
    output.print(|| json!({"deleted": true}), || "deleted".to_owned());
    Ok(Exit::Done)
}

async fn list(gateway: &Gateway, arguments: StateList, output: Output) -> Result<Exit, Failure> {
    let state = state(gateway).await?;
    let StateList { namespace, partition, prefix, limit } = arguments;
    let mut listing = Listing { namespace, partition, prefix, ..Listing::default() };
    let mut left = limit;
    while left > 0 {
        listing.page_size = left.min(PAGE_MAX) as u32;
        let page = state.list(listing.clone()).await?;
        for record in page.records.iter().take(left) {
            if !output.print(|| output::record_json(record, None), || output::record_row(record)) {
                return Ok(Exit::Done);
            }
        }
        left = left.saturating_sub(page.records.len());
        if page.next.is_empty() {
            break;
        }
        listing.page_token = page.next;
    }
    Ok(Exit::Done)
}

async fn history(gateway: &Gateway, arguments: StateHistory, output: Output) -> Result<Exit, Failure> {
    let state = state(gateway).await?;
    let address = address(arguments.address);
    let (mut left, mut token) = (arguments.limit, String::new());
    while left > 0 {
        let page = state.history(&address, left.min(PAGE_MAX) as u32, &token).await?;
        for edition in page.editions.iter().take(left) {
            if !output.print(|| output::edition_json(edition), || output::edition_row(edition)) {
                return Ok(Exit::Done);
            }
        }
        left = left.saturating_sub(page.editions.len());
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    Ok(Exit::Done)
}

async fn locks(gateway: &Gateway, arguments: StateLocks, output: Output) -> Result<Exit, Failure> {
    let state = state(gateway).await?;
    let (mut left, mut token) = (arguments.limit, String::new());
    while left > 0 {
        let size = left.min(PAGE_MAX) as u32;
        let page = state.locks(&arguments.namespace, &arguments.partition, size, &token).await?;
        for lock in page.locks.iter().take(left) {
            if !output.print(|| output::lock_json(lock), || output::lock_row(lock)) {
                return Ok(Exit::Done);
            }
        }
        left = left.saturating_sub(page.locks.len());
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Ends when it is interrupted, or nobody reads any more.
async fn watch(gateway: &Gateway, arguments: StateWatch, output: Output) -> Result<Exit, Failure> {
    let state = state(gateway).await?;
    let StateWatch { namespace, partition, key, after, after_version } = arguments;
    let watching = match (key.map(|key| Address::new(&namespace, &partition, key)), after_version) {
        (Some(address), Some(version)) => Watching::record_after(&address, &version),
        (Some(address), None) => Watching::record(&address),
        (None, _) => Watching::partition(namespace, partition),
    };
    let watching = match after {
        Some(token) => watching.after(token),
        None => watching,
    };
    let mut changes = state.watch(watching);
    let token = changes.opened().await?;
    let mut read = output.print(|| json!({"token": token}), || format!("watching, from {token} on"));
    while read {
        let change = changes.next().await?;
        read = output.print(|| output::change_json(&change), || output::change_row(&change));
    }
    Ok(Exit::Done)
}

fn address(address: StateAddress) -> Address {
    Address::new(address.namespace, address.partition, address.key)
}

fn precondition(version: Option<Version>, overwrite: bool) -> Precondition {
    match version {
        Some(version) => Precondition::Version(version),
        None if overwrite => Precondition::Overwrite,
        None => Precondition::Absent,
    }
}

fn not_there(address: &Address) -> Failure {
    let Address { namespace, partition, key } = address;
    Failure::Refused(Error::NotFound(format!("there is no record {namespace}/{partition}/{key}")))
}
