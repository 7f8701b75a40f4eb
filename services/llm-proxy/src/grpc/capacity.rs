//! What the providers' limits leave: once, and as news.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future, stream, stream::BoxStream};
use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::{Caller, Error, Role, service::Stop, time};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tonic::Status;

use crate::{
    domain::{Capacity, KeyCapacity, Kind, LimitCapacity, LineCapacity, State},
    llm::Llm,
    model::House,
};

/// The least time between two pieces of news.
const INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// When a watcher may come back to a process that drains.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) type News = BoxStream<'static, Result<pb::WatchCapacityResponse, Status>>;

/// Limits, keys and lines are the operators' affair.
pub(super) fn may_look(caller: &Caller) -> Result<(), Error> {
    match caller.role {
        Role::Operator | Role::Mesh => Ok(()),
        Role::Caller | Role::Worker => Err(Error::permission_denied("what providers leave is shown to operators")),
    }
}

/// The providers behind a model, or all where none is named.
pub(super) fn houses(llm: &Llm, model: &str) -> Result<Vec<Arc<House>>, Error> {
    llm.settle();
    match model {
        "" => Ok(llm.houses()),
        model => Ok(llm.model(model)?.houses()),
    }
}

pub(super) fn now(houses: &[Arc<House>]) -> Vec<pb::ProviderCapacity> {
    houses.iter().map(|house| provider(&house.name, house.gate.capacity())).collect()
}

pub(super) fn interval(asked: Option<prost_types::Duration>) -> Result<Duration, Error> {
    let Some(asked) = asked else { return Ok(INTERVAL) };
    let interval = time::span(&asked).filter(|time| (INTERVAL_MIN..=INTERVAL_MAX).contains(time));
    interval.ok_or_else(|| Error::invalid("interval", "must be from 100 ms to 1 min"))
}

/// How everything stands, and again whenever that has changed, no oftener than the interval says.
pub(super) fn watch(houses: Vec<Arc<House>>, interval: Duration, stop: Stop) -> News {
    let changes: Vec<_> = houses.iter().map(|house| house.gate.changes()).collect();
    let state = (houses, changes, None::<(Instant, Vec<pb::ProviderCapacity>)>);
    let news = stream::unfold(state, move |(houses, mut changes, told)| async move {
        let providers = match told {
            None => now(&houses),
            Some((mut at, before)) => loop {
                tokio::time::sleep_until(at + interval).await;
                changes.iter_mut().for_each(watch::Receiver::mark_unchanged);
                let providers = now(&houses);
                if providers != before {
                    break providers;
                }
                at = Instant::now();
                // What time alone frees rings nowhere; and without providers nothing ever does.
                let _ = timeout(INTERVAL, any(&mut changes)).await;
            },
        };
        let told = Some((Instant::now(), providers.clone()));
        Some((Ok(pb::WatchCapacityResponse { providers }), (houses, changes, told)))
    });
    let draining = Error::unavailable("the llm-proxy is draining", RETRY_AFTER);
    let last = stream::once(async move { Err(Status::from(draining)) });
    news.take_until(async move { stop.cancelled().await }).chain(last).boxed()
}

/// The first of the changes to come.
async fn any(changes: &mut [watch::Receiver<()>]) {
    if changes.is_empty() {
        return future::pending().await;
    }
    // One that has no sender any more has changed, too.
    let _ = future::select_all(changes.iter_mut().map(|change| Box::pin(change.changed()))).await;
}

fn provider(name: &str, Capacity { keys, lines, shared }: Capacity) -> pb::ProviderCapacity {
    pb::ProviderCapacity {
        provider: name.to_owned(),
        keys: keys.into_iter().map(key).collect(),
        lines: lines.into_iter().map(line).collect(),
        shared,
    }
}

fn key(KeyCapacity { name, state, rest, in_flight, limits }: KeyCapacity) -> pb::KeyCapacity {
    let health = match state {
        State::Well => pb::KeyHealth::Well,
        State::Resting => pb::KeyHealth::Resting,
        State::Ramping => pb::KeyHealth::Ramping,
        State::Quarantined => pb::KeyHealth::Quarantined,
    };
    pb::KeyCapacity {
        name: name.to_string(),
        health: health.into(),
        rest: Some(time::duration(rest)),
        in_flight,
        limits: limits.into_iter().map(limit).collect(),
    }
}

fn limit(LimitCapacity { kind, model, limit, available }: LimitCapacity) -> pb::LimitCapacity {
    let kind = match kind {
        Kind::Requests => pb::LimitKind::Requests,
        Kind::Tokens => pb::LimitKind::Tokens,
        Kind::Input => pb::LimitKind::InputTokens,
        Kind::Output => pb::LimitKind::OutputTokens,
        Kind::Concurrency => pb::LimitKind::Concurrency,
        Kind::RequestsPerDay => pb::LimitKind::RequestsPerDay,
        Kind::TokensPerDay => pb::LimitKind::TokensPerDay,
    };
    let upstream_model = model.map(|model| model.to_string()).unwrap_or_default();
    pb::LimitCapacity { kind: kind.into(), upstream_model, limit, available }
}

fn line(LineCapacity { model, waiting, tokens, wait }: LineCapacity) -> pb::LineCapacity {
    pb::LineCapacity {
        upstream_model: model.to_string(),
        waiting,
        waiting_tokens: tokens,
        wait: Some(time::duration(wait)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_providers_a_watcher_is_told_so_and_then_nothing_until_the_end() {
        let stop = Stop::new();
        let mut news = watch(Vec::new(), INTERVAL_MIN, stop.clone());
        assert!(news.next().await.is_some_and(|told| told.is_ok_and(|told| told.providers.is_empty())));
        assert!(timeout(INTERVAL_MAX, news.next()).await.is_err(), "nothing can change");
        stop.cancel();
        assert!(news.next().await.is_some_and(|last| last.is_err()) && news.next().await.is_none());
    }
}
