//! Lists. Each is read from the narrowest tables that it has conditions for, in the order of ids, so that it ends when
//! the page is full; which ones is decided here, and not by statistics.

use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::{NoContext, Timestamp, Uuid};

use super::super::{Filter, Period};
use super::read;
use crate::domain::invocation::Status;
use crate::domain::record::Record;
use crate::domain::time::Micros;

/// An id is minted this long after the time that is recorded, at most.
const MINTED_WITHIN: Micros = 60_000_000;

pub(super) async fn list(pool: &PgPool, filter: Filter) -> sqlx::Result<Vec<Record>> {
    let mut ids = Vec::new();
    for source in sources(pool, &filter).await? {
        let mut query = source.query(&filter);
        ids.extend(query.build_query_scalar::<Uuid>().fetch_all(pool).await?);
    }
    ids.sort_unstable();
    if !filter.oldest_first {
        ids.reverse();
    }
    ids.truncate(filter.limit);
    let mut records = read::records(pool, ids, (false, false)).await?;
    if !filter.oldest_first {
        records.reverse();
    }
    // One may have moved on since its id was read.
    let fits = |record: &Record| filter.statuses.is_empty() || filter.statuses.contains(&record.standing.status());
    records.retain(fits);
    Ok(records)
}

/// Where ids are read from. Sources of one list have no id in common.
enum Source {
    /// The first label.
    Label,
    /// The session.
    Session,
    /// What has not ended: bounded by the depth limits.
    Live(Vec<Status>),
    /// One kind of end without success.
    Unsuccessful(Status),
    /// What has been accepted for an agent type.
    Agent(String, Vec<Status>),
    /// Everything there is: only for the mesh itself, which has no tenant.
    Everything(Vec<Status>),
}

async fn sources(pool: &PgPool, filter: &Filter) -> sqlx::Result<Vec<Source>> {
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
            None => sqlx::query_scalar(include_str!("agents.sql")).bind(tenant).fetch_all(pool).await?,
        };
        return Ok(agents.into_iter().map(|agent| Source::Agent(agent, filter.statuses.clone())).collect());
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
    fn query(&self, filter: &Filter) -> QueryBuilder<Postgres> {
        let (from, order) = match self {
            Self::Label => ("labels AS first JOIN invocations i ON i.id = first.id", "first.id"),
            Self::Unsuccessful(_) => ("ended AS first JOIN invocations i ON i.id = first.id", "first.id"),
            Self::Live(_) => ("live AS first JOIN invocations i ON i.id = first.id", "first.id"),
            Self::Session | Self::Agent(..) | Self::Everything(_) => ("invocations i", "i.id"),
        };
        let mut query = QueryBuilder::new("SELECT i.id FROM ");
        query.push(from).push(" LEFT JOIN live ON live.id = i.id LEFT JOIN ended ON ended.id = i.id WHERE true");
        self.own_conditions(&mut query, filter);
        is(&mut query, "i.tenant", filter.tenant.as_ref());
        is(&mut query, "i.agent", filter.agent.as_ref());
        is(&mut query, "i.session", filter.session.as_ref());
        has_labels(&mut query, &filter.labels);
        created(&mut query, order, filter.created);
        within(&mut query, "ended.at", filter.ended);
        let (beyond, direction) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        compare(&mut query, order, beyond, filter.beyond);
        query.push(format!(" ORDER BY {order} {direction} LIMIT ")).push_bind(filter.limit as i64);
        query
    }

    fn own_conditions(&self, query: &mut QueryBuilder<Postgres>, filter: &Filter) {
        let statuses = match self {
            Self::Label => {
                let (name, value) = &filter.labels[0];
                is(query, "first.tenant", filter.tenant.as_ref());
                is(query, "first.name", Some(name));
                is(query, "first.value", Some(value));
                &filter.statuses
            }
            Self::Unsuccessful(status) => {
                is(query, "first.tenant", filter.tenant.as_ref());
                query.push(format!(" AND first.state = {} AND first.state <> 3", status.number()));
                return;
            }
            Self::Agent(agent, statuses) => {
                is(query, "i.agent", Some(agent));
                statuses
            }
            Self::Session => &filter.statuses,
            Self::Live(statuses) | Self::Everything(statuses) => statuses,
        };
        if !statuses.is_empty() {
            let numbers: Vec<String> = statuses.iter().map(|status| status.number().to_string()).collect();
            query.push(format!(" AND coalesce(ended.state, live.state) IN ({})", numbers.join(", ")));
        }
    }
}

fn compare<'a, V>(query: &mut QueryBuilder<Postgres>, column: &str, how: &str, value: Option<V>)
where
    V: sqlx::Encode<'a, Postgres> + sqlx::Type<Postgres>,
{
    if let Some(value) = value {
        query.push(format!(" AND {column} {how} ")).push_bind(value);
    }
}

fn is(query: &mut QueryBuilder<Postgres>, column: &str, value: Option<&String>) {
    compare(query, column, "=", value);
}

fn within(query: &mut QueryBuilder<Postgres>, column: &str, period: Period) {
    compare(query, column, ">=", period.from);
    compare(query, column, "<", period.until);
}

/// Ids begin with the time, so they bound what is read; the time that was recorded decides.
fn created(query: &mut QueryBuilder<Postgres>, id: &str, created: Period) {
    compare(query, id, ">=", created.from.map(first_id));
    compare(query, id, "<", created.until.map(|at| first_id(at.saturating_add(MINTED_WITHIN))));
    within(query, "i.accepted_at", created);
}

fn has_labels(query: &mut QueryBuilder<Postgres>, labels: &[(String, String)]) {
    for (name, value) in labels {
        query.push(" AND EXISTS (SELECT FROM labels l WHERE l.tenant = i.tenant AND l.id = i.id AND l.name = ");
        query.push_bind(name).push(" AND l.value = ").push_bind(value).push(")");
    }
}

/// Not after any id that was minted at this time or later.
pub(super) fn first_id(at: Micros) -> Uuid {
    let millis = u64::try_from(at / 1_000).unwrap_or(0);
    let time = Timestamp::from_unix(NoContext, millis / 1_000, (millis % 1_000) as u32 * 1_000_000);
    let mut bytes = Uuid::new_v7(time).into_bytes();
    bytes[6..].fill(0);
    Uuid::from_bytes(bytes)
}
