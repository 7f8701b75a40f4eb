//! Lists. Each is read from the narrowest tables that it has conditions for, in the order of ids, so that it ends when
//! the page is full; which ones is decided here, and not by statistics.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::{NoContext, Timestamp, Uuid};

use super::super::Filter;
use super::read;
use crate::domain::invocation::Status;
use crate::domain::record::Record;
use crate::domain::time::Micros;

/// An id is minted this long after the time that is recorded, at most.
const MINTED_WITHIN: Micros = 60_000_000;

pub(super) async fn list(pool: &PgPool, filter: Filter) -> sqlx::Result<Vec<Record>> {
    // One snapshot: what moves on between two statements is neither left out nor found twice, and a full page is full.
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let mut ids = Vec::new();
    for source in sources(&mut snapshot, &filter).await? {
        ids.extend(source.ids(&mut snapshot, &filter).await?);
    }
    ids.sort_unstable();
    if !filter.oldest_first {
        ids.reverse();
    }
    ids.truncate(filter.limit);
    let mut records = read::records(&mut snapshot, ids, (false, false)).await?;
    snapshot.commit().await?;
    if !filter.oldest_first {
        records.reverse();
    }
    Ok(records)
}

/// Where ids are read from. Sources of one list have no id in common.
pub(super) enum Source {
    /// The first label.
    Label,
    /// The session.
    Session,
    /// What has not ended: bounded by the depth limits.
    Live(Vec<Status>),
    /// One kind of end without success.
    Unsuccessful(Status),
    /// What has been accepted for agent types.
    Agents(Vec<String>, Vec<Status>),
    /// Everything there is: only for the mesh itself, which has no tenant.
    Everything(Vec<Status>),
}

async fn sources(connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Source>> {
    let Some(tenant) = &filter.tenant else { return Ok(vec![Source::Everything(filter.statuses.clone())]) };
    if !filter.labels.is_empty() {
        return Ok(vec![Source::Label]);
    }
    if filter.session.is_some() {
        return Ok(vec![Source::Session]);
    }
    if filter.statuses.is_empty() || filter.statuses.contains(&Status::Succeeded) {
        let agents = match &filter.agent {
            Some(agent) => vec![agent.clone()],
            None => sqlx::query_scalar(include_str!("agents.sql")).bind(tenant).fetch_all(connection).await?,
        };
        return Ok(vec![Source::Agents(agents, filter.statuses.clone())]);
    }
    let (over, live): (Vec<Status>, Vec<Status>) = filter.statuses.iter().partition(|status| status.is_terminal());
    let mut sources: Vec<Source> =
        Status::ALL.into_iter().filter(|status| over.contains(status)).map(Source::Unsuccessful).collect();
    if !live.is_empty() {
        sources.push(Source::Live(live));
    }
    Ok(sources)
}

impl Source {
    /// One text for each kind and direction, whatever is asked: each is planned once by each connection. The order is that
    /// of one index only, which begins with the tenant: by the array no other is known to have it.
    pub(super) fn text(&self, oldest_first: bool) -> String {
        let (from, id, of_tenant, condition) = match self {
            Self::Label => (
                "labels AS first JOIN invocations i ON i.id = ANY (ARRAY[first.id])",
                "first.id",
                "",
                "first.tenant = $1 AND first.name = ($5::text[])[1] AND first.value = ($6::text[])[1]",
            ),
            Self::Unsuccessful(_) => (
                "ended AS first JOIN invocations i ON i.id = ANY (ARRAY[first.id])",
                "first.id",
                "first.tenant {direction}, ",
                "first.tenant = ANY (ARRAY[$1]) AND first.state = $14 AND first.state <> 3",
            ),
            Self::Live(_) => {
                ("live AS first JOIN invocations i ON i.id = ANY (ARRAY[first.id])", "first.id", "", "true")
            }
            Self::Session => {
                ("invocations i", "i.id", "i.tenant {direction}, ", "i.tenant = ANY (ARRAY[$1]) AND i.session = $3")
            }
            Self::Agents(..) => (
                "invocations i",
                "i.id",
                "i.tenant {direction}, ",
                "i.tenant <> '' AND i.tenant = ANY (ARRAY[$1]) AND i.agent = types.agent",
            ),
            Self::Everything(_) => ("invocations i", "i.id", "", "true"),
        };
        let text = match self {
            Self::Agents(..) => include_str!("list_of_agents.sql").replace("{list}", include_str!("list.sql")),
            _ => include_str!("list.sql").to_owned(),
        };
        let text = text.replace("{from}", from).replace("{id}", id).replace("{condition}", condition);
        let direction = if oldest_first { "ASC" } else { "DESC" };
        text.replace("{of_tenant}", of_tenant).replace("{direction}", direction)
    }

    async fn ids(&self, connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Uuid>> {
        let (names, values): (Vec<&str>, Vec<&str>) =
            filter.labels.iter().map(|(name, value)| (&**name, &**value)).unzip();
        let (first, last) = bounds(filter);
        let agents: &[String] = if let Self::Agents(agents, _) = self { agents } else { &[] };
        let state = if let Self::Unsuccessful(status) = self { status.number() as i32 } else { 0 };
        sqlx::query_scalar(AssertSqlSafe(self.text(filter.oldest_first)))
            .bind(&filter.tenant)
            .bind(&filter.agent)
            .bind(&filter.session)
            .bind(self.statuses(filter))
            .bind(names)
            .bind(values)
            .bind(first)
            .bind(last)
            .bind(filter.created.from.unwrap_or(Micros::MIN))
            .bind(filter.created.until.unwrap_or(Micros::MAX))
            .bind(filter.ended.from)
            .bind(filter.ended.until)
            .bind(filter.limit as i64)
            .bind(state)
            .bind(agents)
            .fetch_all(connection)
            .await
    }

    /// None means all.
    fn statuses(&self, filter: &Filter) -> Vec<i32> {
        let statuses = match self {
            Self::Unsuccessful(_) => return Vec::new(),
            Self::Live(statuses) | Self::Agents(_, statuses) | Self::Everything(statuses) => statuses,
            Self::Label | Self::Session => &filter.statuses,
        };
        statuses.iter().map(|status| status.number() as i32).collect()
    }
}

/// The first id, and the one behind the last. Ids begin with the time, so they bound what is read; the time that was
/// recorded decides.
fn bounds(filter: &Filter) -> (Uuid, Uuid) {
    let mut first = filter.created.from.map_or(Uuid::nil(), first_id);
    let mut last = filter.created.until.map_or(Uuid::max(), |at| first_id(at.saturating_add(MINTED_WITHIN)));
    match filter.beyond {
        Some(beyond) if filter.oldest_first => {
            first = first.max(Uuid::from_u128(beyond.as_u128().saturating_add(1)));
        }
        Some(beyond) => last = last.min(beyond),
        None => {}
    }
    (first, last)
}

/// Not after any id that was minted at this time or later.
pub(super) fn first_id(at: Micros) -> Uuid {
    let millis = u64::try_from(at / 1_000).unwrap_or(0);
    let time = Timestamp::from_unix(NoContext, millis / 1_000, (millis % 1_000) as u32 * 1_000_000);
    let mut bytes = Uuid::new_v7(time).into_bytes();
    bytes[6..].fill(0);
    Uuid::from_bytes(bytes)
}
