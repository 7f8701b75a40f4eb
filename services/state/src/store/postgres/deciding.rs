//! Who decides: one row, known to every process, and changed by whoever finds that it must be.
//!
//! Locks are taken in one order everywhere: the rows of shards first, that of the deciders after them.

mod switch;

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Trouble;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::rows;
use super::tables::Decides;
use crate::domain::{Ended, EpochId, Epochs, SHARDS, ShardId, Vector};
use crate::place::Identity;
use crate::store::{Bound, LostEpoch};

pub(crate) use switch::begin;
pub use switch::{Switched, begin_draining, raise_lease, switch};

pub(super) const READ: &str = include_str!("deciding/read.sql");

/// Who decides, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This database.
    Postgres,
    /// A Redis, in this life of it.
    Redis {
        /// Which.
        identity: Identity,
    },
}

impl Who {
    /// The kind of place, as shards' rows name it.
    #[must_use]
    pub fn decides(&self) -> Decides {
        match self {
            Self::Postgres => Decides::Postgres,
            Self::Redis { .. } => Decides::Redis,
        }
    }
}

/// Which PostgreSQL this is: another number is another cluster, another timeline one that took over and may lack writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Its system identifier.
    pub system: u64,
    /// Its timeline.
    pub timeline: u64,
}

/// What a process knows about who decides.
#[derive(Debug, Clone)]
pub struct Deciding {
    /// The epoch.
    pub epoch: EpochId,
    /// Who decides in it.
    pub who: Who,
    /// It is about to end: nobody may renew what he knows.
    pub draining: bool,
    /// All epochs.
    pub epochs: Arc<Epochs>,
    /// Those that ended with loss and are not folded yet, with how much it may be.
    pub losses: Arc<Vec<LostEpoch>>,
    /// By shard, the version of every record that is not there.
    pub floors: Arc<Vec<Vector>>,
    /// The oldest fence that is remembered.
    pub fence_floor: u64,
    /// On which PostgreSQL the epoch began.
    pub server: ServerIdentity,
    /// Whether that is the one that was read from. Where it is not, the epoch is to be ended, with loss.
    pub same_server: bool,
    /// The longest that anybody believes in the epoch after a look.
    pub lease: Duration,
    /// How often epochs were folded.
    pub folds: u64,
    /// Rises with every change of epochs and floors.
    knowledge: u64,
}

/// Reads who decides.
///
/// # Errors
/// What the database says.
pub async fn read(connection: &mut PgConnection) -> Result<Deciding, Trouble> {
    loop {
        let deciding = read_row(connection, None).await?;
        let (epochs, losses) = read_epochs(connection, deciding.epoch).await?;
        let floors = read_floors(connection).await?;
        // Epochs and floors that belong to another moment are read again.
        let after = read_row(connection, None).await?;
        if after.knowledge == deciding.knowledge && after.epoch == deciding.epoch {
            let (epochs, losses, floors) = (Arc::new(epochs), Arc::new(losses), Arc::new(floors));
            return Ok(Deciding { epochs, losses, floors, ..after });
        }
    }
}

/// Reads who decides, and of all the rest only what has changed.
///
/// # Errors
/// What the database says.
pub async fn renew(connection: &mut PgConnection, known: &Deciding) -> Result<Deciding, Trouble> {
    let deciding = read_row(connection, Some(known)).await?;
    if deciding.epoch == known.epoch && deciding.knowledge == known.knowledge {
        return Ok(deciding);
    }
    read(connection).await
}

/// Epochs and floors are those that were known.
async fn read_row(connection: &mut PgConnection, known: Option<&Deciding>) -> Result<Deciding, Trouble> {
    let row = sqlx::query(READ).fetch_one(connection).await?;
    Ok(deciding(&row, known)?)
}

fn deciding(row: &PgRow, known: Option<&Deciding>) -> sqlx::Result<Deciding> {
    let epoch = EpochId(rows::number(row, 0)?);
    let who = match row.try_get::<Option<String>, _>(1)? {
        Some(place) => Who::Redis { identity: Identity(place) },
        None => Who::Postgres,
    };
    let server = ServerIdentity { system: rows::number(row, 4)?, timeline: rows::number(row, 5)? };
    let here = ServerIdentity { system: rows::number(row, 6)?, timeline: rows::number(row, 7)? };
    let (epochs, losses, floors) = match known {
        Some(known) => (Arc::clone(&known.epochs), Arc::clone(&known.losses), Arc::clone(&known.floors)),
        None => (Arc::new(Epochs::new(epoch)), Arc::default(), Arc::default()),
    };
    Ok(Deciding {
        epoch,
        who,
        draining: row.try_get(2)?,
        epochs,
        losses,
        floors,
        fence_floor: rows::number(row, 3)?,
        server,
        same_server: server == here,
        lease: Duration::from_millis(rows::number(row, 10)?),
        folds: rows::number(row, 8)?,
        knowledge: rows::number(row, 9)?,
    })
}

async fn read_epochs(connection: &mut PgConnection, current: EpochId) -> sqlx::Result<(Epochs, Vec<LostEpoch>)> {
    let (mut epochs, mut losses) = (Epochs::new(current), Vec::new());
    let past = "SELECT epoch, state = 'lost', ended, lost_shards, lost_writes, lost_bytes FROM epochs WHERE state <> 'current'";
    for row in &sqlx::query(past).fetch_all(connection).await? {
        let epoch = EpochId(rows::number(row, 0)?);
        match row.try_get(1)? {
            true => {
                let lost = loss(row, Ended { epoch, at: row.try_get(2)? })?;
                epochs.add_lost(lost.ended);
                losses.push(lost);
            }
            false => epochs.fold(epoch),
        }
    }
    losses.sort_by_key(|lost| lost.ended.at);
    Ok((epochs, losses))
}

fn loss(row: &PgRow, ended: Ended) -> sqlx::Result<LostEpoch> {
    let shards = row.try_get::<Vec<i32>, _>(3)?.into_iter();
    let shards = shards.filter_map(|shard| ShardId::from_index(usize::try_from(shard).ok()?)).collect();
    let bound = Bound { writes: rows::number(row, 4)?, bytes: rows::number(row, 5)? };
    Ok(LostEpoch { ended, shards, bound })
}

async fn read_floors(connection: &mut PgConnection) -> sqlx::Result<Vec<Vector>> {
    let mut floors = vec![Vector::default(); SHARDS];
    for row in &sqlx::query("SELECT shard, floor FROM shards ORDER BY shard").fetch_all(connection).await? {
        floors[rows::shard(row, 0)?.index()] = rows::floor(row, 1)?;
    }
    Ok(floors)
}
