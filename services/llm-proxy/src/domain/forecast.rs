//! When a call that stands behind others would start.
//!
//! It asks each limit for itself, and takes the latest answer. Of window limits it knows when what was used becomes free;
//! what starts then is free again a window later, so beyond one filling of all windows the pattern repeats. With nobody new
//! that is exact but for what calls turn out to use; of places it knows only how long calls have held theirs lately.

use std::{iter, time::Duration};

use super::{
    key::{Key, TRANSIT_MAX},
    line::{Load, Needed},
    meter::{Kind, Meter},
    pool::{Need, Want},
};

/// The time at which a call can start behind what starts before it. `pace` is how long a call holds its place, where that was
/// measured.
pub(crate) fn start(keys: &[&Key], now: Duration, want: &Want, before: Needed, pace: Option<Duration>) -> Duration {
    let usable = keys.iter().map(|key| key.usable_at().max(now)).min().unwrap_or(now);
    let of_kind = |kind: Kind| {
        let own = keys.iter().map(|key| Limit::new(key, now, find(key.own(), kind))).collect();
        let model = keys.iter().map(|key| Limit::new(key, now, find(key.of_model(want.lane), kind))).collect();
        [(Limits { kind, keys: own, pace }, before.all), (Limits { kind, keys: model, pace }, before.lane)]
    };
    let starts =
        Kind::ALL.into_iter().flat_map(of_kind).map(|(limits, before)| limits.start(now, before, Load::of(want)));
    starts.fold(usable, Duration::max)
}

fn find<'k>(mut meters: impl Iterator<Item = (Kind, &'k Meter)>, kind: Kind) -> Option<&'k Meter> {
    meters.find_map(|(of, meter)| (of == kind).then_some(meter))
}

/// One kind of limit, over all keys.
struct Limits<'k> {
    kind: Kind,
    keys: Vec<Limit<'k>>,
    pace: Option<Duration>,
}

/// That of one key; without a meter there is none.
struct Limit<'k> {
    usable_at: Duration,
    window: Duration,
    meter: Option<&'k Meter>,
}

impl<'k> Limit<'k> {
    fn new(key: &Key, now: Duration, meter: Option<&'k Meter>) -> Self {
        Self { usable_at: key.usable_at().max(now), window: key.window(), meter }
    }

    /// What is free now, and what becomes free by and by. What has not arrived is free again a window after it may have.
    fn frees(&self, now: Duration, span: Duration, pace: Duration) -> impl Iterator<Item = (Duration, u64)> {
        let usable = self.usable_at;
        let later = self.meter.into_iter().flat_map(Meter::frees).filter(move |(at, _)| *at > now);
        let (free, reserved) = self.meter.map_or((0, 0), |meter| (meter.left(now), meter.reserved()));
        let arrives = now + pace.max(TRANSIT_MAX) + span;
        iter::once((usable, free))
            .chain(later.map(move |(at, amount)| (at.max(usable), amount)))
            .chain(iter::once((arrives.max(usable), reserved)))
    }
}

impl Limits<'_> {
    /// When so much will have become free, over all keys.
    fn start(&self, now: Duration, before: Load, own: Load) -> Duration {
        let unlimited = self.keys.iter().filter(|limit| limit.meter.is_none()).map(|limit| limit.usable_at).min();
        if let Some(at) = unlimited {
            return at;
        }
        let limits = || self.keys.iter().filter_map(|limit| limit.meter).map(Meter::limit);
        let total = limits().fold(0, u64::saturating_add);
        // A call that is larger than a limit takes all of it.
        let own = amount(self.kind, own).min(limits().max().unwrap_or(0));
        let needed = amount(self.kind, before).saturating_add(own);
        if needed == 0 || total == 0 {
            return now;
        }
        if self.kind == Kind::Concurrency {
            return self.places(now, needed, total);
        }
        let (fillings, rest) = ((needed - 1) / total, (needed - 1) % total + 1);
        let span = self.keys.iter().map(|limit| self.kind.span(limit.window)).max().unwrap_or_default();
        let again = (span + self.written_for(before)).saturating_mul(u32::try_from(fillings).unwrap_or(u32::MAX));
        self.within_one_filling(now, rest).saturating_add(again)
    }

    /// What is written counts from its end: so much later than what arrives, on the average.
    fn written_for(&self, load: Load) -> Duration {
        let parts = self.kind.parts(Need { input: load.input, output: load.output });
        let share = parts.at_end as f64 / parts.sum().max(1) as f64;
        self.pace.unwrap_or_default().mul_f64(share)
    }

    fn within_one_filling(&self, now: Duration, needed: u64) -> Duration {
        let pace = self.pace.unwrap_or_default();
        let keys = self.keys.iter();
        let mut streams: Vec<_> = keys.map(|key| key.frees(now, self.kind.span(key.window), pace)).collect();
        let mut heads: Vec<_> = streams.iter_mut().map(Iterator::next).collect();
        let (mut freed, mut at) = (0_u64, now);
        while freed < needed {
            let times = heads.iter().enumerate().filter_map(|(index, head)| Some((head.as_ref()?.0, index)));
            let Some((time, index)) = times.min() else { break };
            let amount = std::mem::replace(&mut heads[index], streams[index].next()).map_or(0, |(_, amount)| amount);
            (freed, at) = (freed.saturating_add(amount), at.max(time));
        }
        at
    }

    /// Places come free one after the other, as fast as calls end.
    fn places(&self, now: Duration, needed: u64, all: u64) -> Duration {
        let well = self.keys.iter().filter(|limit| limit.usable_at <= now).filter_map(|limit| limit.meter);
        let free = well.map(|meter| meter.left(now)).fold(0, u64::saturating_add);
        let waiting = u128::from(needed.saturating_sub(free));
        let nanos = self.pace.unwrap_or_default().as_nanos().saturating_mul(waiting) / u128::from(all);
        now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }
}

fn amount(kind: Kind, load: Load) -> u64 {
    match kind {
        Kind::Requests | Kind::RequestsPerDay | Kind::Concurrency => load.calls,
        Kind::Tokens | Kind::TokensPerDay => load.tokens(),
        Kind::Input => load.input,
        Kind::Output => load.output,
    }
}
