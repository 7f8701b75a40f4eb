//! The ledger of a provider in a Redis: one hash, one script.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use ::redis::{ErrorKind, RedisError, RedisResult, Script, Value, from_redis_value_ref};
use holdfast_config::Redis as Settings;
use holdfast_redis::{Line as Wire, News, Report, Way};

use super::round::{Answer, Line, MemberId, Round, Said};
use crate::domain::Counted;

/// A member is dead after this long without a word: its lease has run out, and what it sent has arrived.
pub(super) const SILENCE: Duration = Duration::from_millis(1_500);
/// Only what somebody wants who spoke within this time is set aside for it.
pub(super) const PROMPT: Duration = Duration::from_millis(500);
/// Whoever comes back after a longer silence than [`PROMPT`] may have been kept from speaking, and others with it: they have so
/// long to come, too, before they are dead. They try again after a second at most, and wait for an answer for another.
pub(super) const SPARED: Duration = Duration::from_millis(2_500);
/// How long the places of a limit that nothing is known of count as taken: until everybody who lives has said what it holds, and
/// what the dead held has ended.
pub(super) const PLACES_SPENT: Duration = Duration::from_millis(2_500);
/// A ledger that nobody asks goes away. Redis's clock decides that; a ledger that went too early begins as spent.
const KEEP: Duration = Duration::from_secs(48 * 3_600);

static ROUND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("ledger/rows.lua"),
        include_str!("ledger/members.lua"),
        include_str!("ledger/round.lua")
    ))
});

/// Where the ledger of one provider is.
#[derive(Debug)]
pub(super) struct Ledger {
    way: Way,
    key: String,
    channel: String,
}

/// A connection to it.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    /// Which life of Redis answers.
    life: String,
    key: String,
    channel: String,
}

impl Ledger {
    /// By the settings; `None` where they name no Redis. Nothing is opened yet.
    pub(super) fn new(settings: &Settings, provider: &str) -> Option<Self> {
        let key = format!("{{{}:llm:{provider}}}:ledger", settings.prefix);
        Some(Self { way: Way::new(settings)?, channel: format!("{key}:calls"), key })
    }

    pub(super) async fn connect(&self) -> RedisResult<Session> {
        let wire = self.way.connect(&self.key, &self.channel).await?;
        let mut session = Session { wire, life: String::new(), key: self.key.clone(), channel: self.channel.clone() };
        session.ask_life().await?;
        Ok(session)
    }
}

impl Session {
    /// Asks who answers. Where it is another than before, so is its ledger.
    pub(super) async fn ask_life(&mut self) -> RedisResult<()> {
        let report = Report::ask(&mut self.wire.link, &["memory"]).await?;
        if report.field("maxmemory_policy").starts_with("allkeys") {
            return Err(error("its maxmemory-policy throws away what is not stored elsewhere: set noeviction"));
        }
        if !report.is_master() {
            return Err(error("it is no master"));
        }
        self.life = report.life();
        Ok(())
    }

    pub(super) async fn round(&mut self, round: &Round) -> RedisResult<Answer> {
        let mut call = ROUND.key(&self.key);
        let number = |number: u64| number.to_string();
        call.arg(&self.life).arg(&self.channel).arg(number(millis(KEEP)));
        call.arg(number(micros(SILENCE))).arg(number(micros(PROMPT))).arg(number(micros(SPARED)));
        call.arg(&*round.member.0).arg(u8::from(round.joins)).arg(number(round.clock)).arg(round.others.len());
        for (id, clock) in &round.others {
            call.arg(&*id.0).arg(number(*clock));
        }
        for line in &round.limits {
            let (counted, window) = match line.counted {
                Counted::Window(window) => ("w", window),
                Counted::Places => ("p", PLACES_SPENT),
            };
            call.arg(&*line.name).arg(counted).arg(number(micros(window))).arg(number(line.limit)).arg(line.group);
            let Line { over, settled, settled_at, returned, want, chunk, .. } = *line;
            for said in [over, settled, settled_at, returned, want, chunk] {
                call.arg(number(said));
            }
            call.arg(line.corrections.len());
            for (arrived, fewer) in &line.corrections {
                call.arg(number(*arrived)).arg(number(*fewer));
            }
        }
        let said: Value = call.invoke_async(&mut self.wire.link).await?;
        decode(&said).ok_or_else(|| error("it answered something that is not ours"))
    }

    /// Waits until somebody is called; who. `None` when the connection has ended.
    pub(super) async fn called(&mut self) -> Option<Vec<MemberId>> {
        match self.wire.news.recv().await? {
            News::Said(names) => Some(names.split_ascii_whitespace().map(|name| MemberId(name.into())).collect()),
            News::Gone => None,
        }
    }

    /// As if another life of Redis answered.
    #[cfg(test)]
    pub(super) fn set_life(&mut self, life: String) {
        self.life = life;
    }

    /// Who was called by what was said until now: the answer to what is asked now comes after that.
    #[cfg(test)]
    pub(super) async fn calls_so_far(&mut self) -> Vec<MemberId> {
        let _: String = ::redis::cmd("PING").query_async(&mut self.wire.link).await.expect("it answers");
        let mut all = Vec::new();
        while let Ok(News::Said(names)) = self.wire.news.try_recv() {
            all.extend(names.split_ascii_whitespace().map(|name| MemberId(name.into())));
        }
        all
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX >> 12)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX >> 12)
}

fn decode(said: &Value) -> Option<Answer> {
    let texts: Vec<String> = from_redis_value_ref(said).ok()?;
    let (first, rest) = texts.split_first()?;
    match &**first {
        "dead" => return Some(Answer::Dead),
        "unknown" => return Some(Answer::Unknown),
        "stale" => return Some(Answer::Stale),
        "taken" => {}
        _ => return None,
    }
    let (members, limits) = rest.split_first()?;
    let mut words = members.split_ascii_whitespace();
    let mut clocks = BTreeMap::new();
    while let Some(name) = words.next() {
        clocks.insert(MemberId(name.into()), words.next()?.parse().ok()?);
    }
    Some(Answer::Taken { clocks, limits: limits.iter().map(|text| limit(text)).collect::<Option<_>>()? })
}

fn limit(text: &str) -> Option<Said> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    Some(Said {
        granted: next()?,
        free: next()?,
        used: next()?,
        next: next()?,
        last: next()?,
        others: next()?,
        let_go: next()?,
    })
}

pub(super) fn error(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}
