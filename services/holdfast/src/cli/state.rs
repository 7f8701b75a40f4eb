//! `holdfast state …`, as its help shows it.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use holdfast_sdk::state::Version;

use crate::output::parse_version;

/// Without a command, it is the service.
#[derive(Debug, Clone, Args)]
pub(crate) struct State {
    #[command(subcommand)]
    pub(crate) command: Option<StateCommand>,
}

/// The commands that read and write records, through a gateway, and the one that an operator runs beside the store.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StateCommand {
    /// Show a record
    Get(StateGet),
    /// Write a record: it must not exist yet, unless --version or --overwrite says otherwise
    Put(StatePut),
    /// Delete a record
    Delete(StateDelete),
    /// List a partition's records, by key
    List(StateList),
    /// Show what a record was, newest first, and who wrote it
    History(StateHistory),
    /// List a partition's locks that are held, by name
    Locks(StateLocks),
    /// Follow the changes of a record or a partition until interrupted
    Watch(StateWatch),
    /// Say that the database or data directory of --config was restored from a copy: writes that came after it are gone
    #[command(long_about = RESTORED)]
    Restored,
}

const RESTORED: &str = "\
Say that the database or data directory of --config was restored from a copy: writes that came after it are gone.

The current epoch ends, with loss. Whoever shows a version that is gone is told so (DATA_LOSS), instead of having it taken for
an old one. Run it after the restore and before agents work again; the state processes must be stopped where a data directory
or a Redis is used. A PostgreSQL that took over as a standby, or another cluster, is noticed without this.";

/// Where a record lives.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateAddress {
    /// The kind of record
    pub(crate) namespace: String,
    /// What belongs together: an agent instance, a session, an account
    pub(crate) partition: String,
    /// The record within its partition
    pub(crate) key: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateGet {
    #[command(flatten)]
    pub(crate) address: StateAddress,
    /// As it was at this version, from the history
    #[arg(long, value_name = "VERSION", value_parser = parse_version, allow_hyphen_values = true)]
    pub(crate) at_version: Option<Version>,
    /// What was true so long ago at most will do, such as 5s: it may come from memory
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration, conflicts_with = "at_version")]
    pub(crate) max_staleness: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StatePut {
    #[command(flatten)]
    pub(crate) address: StateAddress,
    /// The new content; - reads it from standard input
    #[arg(value_name = "JSON")]
    pub(crate) value: String,
    /// The version that was read: refused where the record has moved on
    #[arg(long, value_name = "VERSION", value_parser = parse_version, allow_hyphen_values = true)]
    pub(crate) version: Option<Version>,
    /// Overwrite whatever is there; it is counted
    #[arg(long, conflicts_with = "version")]
    pub(crate) overwrite: bool,
    /// How long the record lives, such as 90s or 7d; without it, the namespace's setting
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// Acknowledge it from the cache, before it is in the store
    #[arg(long)]
    pub(crate) cached: bool,
    /// The content is not JSON, but of this media type
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// A UUID: the same write again gets its first answer; without it, one is minted
    #[arg(long, value_name = "ID")]
    pub(crate) write_id: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["version", "overwrite"])))]
pub(crate) struct StateDelete {
    #[command(flatten)]
    pub(crate) address: StateAddress,
    /// The version that was read: refused where the record has moved on
    #[arg(long, value_name = "VERSION", value_parser = parse_version, allow_hyphen_values = true)]
    pub(crate) version: Option<Version>,
    /// Delete whatever is there; it is counted
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateList {
    /// The kind of record
    pub(crate) namespace: String,
    /// The partition
    pub(crate) partition: String,
    /// Only keys that begin so
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateHistory {
    #[command(flatten)]
    pub(crate) address: StateAddress,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateLocks {
    /// The kind of record
    pub(crate) namespace: String,
    /// The partition
    pub(crate) partition: String,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateWatch {
    /// The kind of record
    pub(crate) namespace: String,
    /// The partition
    pub(crate) partition: String,
    /// The record; without it, all of the partition
    pub(crate) key: Option<String>,
    /// Changes after the one with this token, as --json prints it; without it, changes from now on
    #[arg(long, value_name = "TOKEN")]
    pub(crate) after: Option<String>,
    /// Changes after this version of the record
    #[arg(long, value_name = "VERSION", value_parser = parse_version, allow_hyphen_values = true,
        conflicts_with = "after", requires = "key")]
    pub(crate) after_version: Option<Version>,
}
