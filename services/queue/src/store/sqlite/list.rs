//! Lists. Each is read from the narrowest tables that it has conditions for, in the order of ids, so that it ends when
//! the page is full; which ones is decided here, and not by statistics.

use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};
use uuid::{NoContext, Timestamp, Uuid};

use super::super::{Filter, Period};
use super::read;
use crate::domain::invocation::Status;
use crate::domain::record::Record;
use crate::domain::time::Micros;

/// An id is minted this long after the time that is recorded, at most.
const MINTED_WITHIN: Micros = 60_000_000;

pub(super) fn list(tx: &Transaction<'_>, filter: &Filter) -> rusqlite::Result<Vec<Record>> {
    let mut ids = Vec::new();
    for source in sources(tx, filter)? {
        ids.extend(source.ids(tx, filter)?);
    }
    ids.sort_unstable();
    if !filter.oldest_first {
        ids.reverse();
    }
    ids.truncate(filter.limit);
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        records.extend(read::record(tx, id, None, (false, false))?);
    }
    Ok(records)
}

/// Where ids are read from. Sources of one list have no id in common.
enum Source {
    /// The first label.
    Label,
    /// The session.
    Session,
    /// What has not ended. It is bounded by the depth limits, and read whole.
    Live(Vec<Status>),
    /// One kind of end without success.
    Unsuccessful(Status),
    /// What has been accepted for an agent type.
    Agent(String, Vec<Status>),
    /// Everything there is: only for the mesh itself, which has no tenant.
    Everything(Vec<Status>),
}

fn sources(tx: &Transaction<'_>, filter: &Filter) -> rusqlite::Result<Vec<Source>> {
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
            None => agents(tx, tenant)?,
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

/// A tenant's agent types: one step in the index for each.
fn agents(tx: &Transaction<'_>, tenant: &str) -> rusqlite::Result<Vec<String>> {
    let mut next = tx.prepare_cached(
        "SELECT min(agent) FROM invocations INDEXED BY invocations_of_agent WHERE tenant = ?1 AND agent > ?2",
    )?;
    let mut agents: Vec<String> = Vec::new();
    while let Some(agent) =
        next.query_row([tenant, agents.last().map_or("", |agent| agent)], |row| row.get::<_, Option<String>>(0))?
    {
        agents.push(agent);
    }
    Ok(agents)
}

impl Source {
    fn ids(&self, tx: &Transaction<'_>, filter: &Filter) -> rusqlite::Result<Vec<Uuid>> {
        let mut query = Query::default();
        // A cross join is walked in the order in which it is written.
        let (from, order) = match self {
            Self::Label => {
                let (name, value) = &filter.labels[0];
                query.is("d.tenant", filter.tenant.clone());
                query.is("d.name", Some(name.clone()));
                query.is("d.value", Some(value.clone()));
                ("labels d CROSS JOIN invocations i ON i.id = d.id", "d.id")
            }
            Self::Unsuccessful(status) => {
                query.is("d.tenant", filter.tenant.clone());
                query.condition(&format!("d.state = {}", status.number()));
                ("unsuccessful d CROSS JOIN invocations i ON i.id = d.id", "d.id")
            }
            Self::Live(_) => ("live d CROSS JOIN invocations i ON i.seq = d.seq", "d.id"),
            Self::Session => ("invocations i INDEXED BY invocations_of_session", "i.id"),
            Self::Agent(agent, _) => {
                query.is("i.agent", Some(agent.clone()));
                ("invocations i INDEXED BY invocations_of_agent", "i.id")
            }
            Self::Everything(_) => ("invocations i", "i.id"),
        };
        query.is("i.tenant", filter.tenant.clone());
        query.is("i.agent", filter.agent.clone());
        query.is("i.session", filter.session.clone());
        self.statuses(filter, &mut query);
        query.labels(&filter.labels);
        query.created(order, filter.created);
        query.within("ended.at", filter.ended);
        let (beyond, direction) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        query.compare(order, beyond, filter.beyond.map(id_value));
        query.values.push((filter.limit as i64).into());
        let sql = format!(
            "SELECT i.id FROM {from} LEFT JOIN live ON live.id = i.id LEFT JOIN ended ON ended.seq = i.seq
             WHERE true{} ORDER BY {order} {direction} LIMIT ?{}",
            query.conditions,
            query.values.len()
        );
        let mut statement = tx.prepare_cached(&sql)?;
        statement.query_map(params_from_iter(query.values), |row| Ok(Uuid::from_bytes(row.get(0)?)))?.collect()
    }

    fn statuses(&self, filter: &Filter, query: &mut Query) {
        let statuses = match self {
            Self::Unsuccessful(_) => return,
            Self::Live(statuses) | Self::Agent(_, statuses) | Self::Everything(statuses) => statuses,
            Self::Label | Self::Session => &filter.statuses,
        };
        if !statuses.is_empty() {
            let numbers: Vec<String> = statuses.iter().map(|status| status.number().to_string()).collect();
            query.condition(&format!("coalesce(ended.state, live.state) IN ({})", numbers.join(", ")));
        }
    }
}

/// Conditions, and the values in them.
#[derive(Default)]
struct Query {
    conditions: String,
    values: Vec<Value>,
}

impl Query {
    fn condition(&mut self, condition: &str) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
    }

    fn compare(&mut self, column: &str, how: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.values.push(value.into());
            self.condition(&format!("{column} {how} ?{}", self.values.len()));
        }
    }

    fn is(&mut self, column: &str, value: Option<String>) {
        self.compare(column, "=", value);
    }

    fn within(&mut self, column: &str, period: Period) {
        self.compare(column, ">=", period.from);
        self.compare(column, "<", period.until);
    }

    /// Ids begin with the time, so they bound what is read; the time that was recorded decides.
    fn created(&mut self, id: &str, created: Period) {
        self.compare(id, ">=", created.from.map(|at| id_value(first_id(at))));
        self.compare(id, "<", created.until.map(|at| id_value(first_id(at.saturating_add(MINTED_WITHIN)))));
        self.within("i.accepted_at", created);
    }

    fn labels(&mut self, labels: &[(String, String)]) {
        for (name, value) in labels {
            self.values.extend([name.clone().into(), value.clone().into()]);
            let last = self.values.len();
            self.condition(&format!(
                "EXISTS (SELECT 1 FROM labels l WHERE l.tenant = i.tenant AND l.name = ?{} AND l.value = ?{last} \
                 AND l.id = i.id)",
                last - 1
            ));
        }
    }
}

fn id_value(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// Not after any id that was minted at this time or later.
fn first_id(at: Micros) -> Uuid {
    let millis = u64::try_from(at / 1_000).unwrap_or(0);
    let time = Timestamp::from_unix(NoContext, millis / 1_000, (millis % 1_000) as u32 * 1_000_000);
    let mut bytes = Uuid::new_v7(time).into_bytes();
    bytes[6..].fill(0);
    Uuid::from_bytes(bytes)
}
