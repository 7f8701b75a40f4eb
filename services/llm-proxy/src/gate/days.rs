//! Keeps what a key's daily limits hold through the end of the process: a small file, written anew when it has changed, at
//! most once a second, and before the end. What a process that was killed did not write is in the window's journal.
//!
//! It goes by the machine's uptime. After a restart of the machine all of it counts from then on: longer than it need, never
//! shorter; where the end was not written, with a hundredth of the limit for what may be missing.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, STEP},
    domain::{DailyUse, Days, Kind, Lane, Limits},
};

/// The file of one key.
#[derive(Debug, Clone)]
pub(super) struct DayFile(PathBuf);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Written {
    boot: Option<String>,
    at_us: u64,
    /// Nothing was used after it.
    whole: bool,
    limits: Vec<WrittenDay>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct WrittenDay {
    model: Option<String>,
    tokens: bool,
    slices: Vec<(u64, u64)>,
}

impl DayFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self(dir.join(format!("{name}.days")))
    }

    pub(super) fn read(&self, limits: &Limits, lanes: &[(Arc<str>, Lane)], clock: &Clock) -> io::Result<Days> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Days::Fresh),
            Err(error) => return Err(error),
        };
        let Ok(written) = serde_json::from_slice::<Written>(&bytes) else { return Ok(Days::Lost) };
        Ok(written.days(limits, lanes, clock.boot()))
    }

    /// Writes it out in full, beside the old one first.
    pub(super) fn write(&self, written: &Written) -> io::Result<()> {
        let fresh = self.0.with_extension("days.fresh");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(written)?)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.0)
    }
}

impl Written {
    pub(super) fn new(days: Vec<DailyUse>, upstream: impl Fn(Lane) -> Arc<str>, clock: &Clock, whole: bool) -> Self {
        let limit = |DailyUse { lane, kind, slices }: DailyUse| WrittenDay {
            model: lane.map(|lane| upstream(lane).to_string()),
            tokens: kind == Kind::TokensPerDay,
            slices: slices.into_iter().map(|(until, used)| (micros(until), used)).collect(),
        };
        let limits = days.into_iter().map(limit).collect();
        Self { boot: clock.boot().map(str::to_owned), at_us: clock.now().as_micros() as u64, whole, limits }
    }

    /// There are no daily limits.
    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    fn days(self, limits: &Limits, lanes: &[(Arc<str>, Lane)], boot: Option<&str>) -> Days {
        let same = boot.is_some() && self.boot.as_deref() == boot;
        let whole = self.whole;
        let at = match (same, whole) {
            (true, false) => Duration::from_micros(self.at_us),
            (true, true) => Duration::MAX,
            (false, _) => Duration::ZERO,
        };
        let day = |WrittenDay { model, tokens, slices }: WrittenDay| {
            let lane = model.as_ref().map(|model| lanes.iter().find(|(name, _)| **name == **model));
            let lane = match lane {
                Some(None) => return None,
                Some(Some((_, lane))) => Some(*lane),
                None => None,
            };
            let kind = if tokens { Kind::TokensPerDay } else { Kind::RequestsPerDay };
            let slices = if same {
                slices.into_iter().map(|(until, used)| (Duration::from_micros(until) + STEP, used)).collect()
            } else {
                let of = model.map_or(Some(&limits.own), |model| limits.models.get(&model))?;
                let missing = if whole { 0 } else { kind.limit(of)?.div_ceil(100) };
                let used = slices.iter().map(|(_, used)| used).fold(missing, |sum, used| sum.saturating_add(*used));
                vec![(kind.span(limits.window), used)]
            };
            Some(DailyUse { lane, kind, slices })
        };
        Days::Kept { at, days: self.limits.into_iter().filter_map(day).collect() }
    }
}

/// Rounded up: it may count longer than it need, never shorter.
fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelLimits;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn limits() -> Limits {
        let daily = ModelLimits { tokens_per_day: Some(1_000), ..ModelLimits::default() };
        Limits { models: [("m".into(), daily.clone())].into(), own: daily, window: Duration::from_secs(60) }
    }

    fn written(boot: &str, whole: bool) -> Written {
        let day = |model: Option<&str>| WrittenDay {
            model: model.map(Into::into),
            tokens: true,
            slices: vec![(micros(25 * HOUR), 30), (micros(26 * HOUR), 12)],
        };
        let limits = vec![day(None), day(Some("m")), day(Some("gone"))];
        Written { boot: Some(boot.into()), at_us: micros(2 * HOUR), whole, limits }
    }

    fn days(boot: &str, whole: bool) -> Days {
        written(boot, whole).days(&limits(), &[("m".into(), Lane(3))], Some("now"))
    }

    #[test]
    fn the_next_process_counts_what_still_counts() {
        let slices = vec![(25 * HOUR + STEP, 30), (26 * HOUR + STEP, 12)];
        let day = |lane: Option<Lane>| DailyUse { lane, kind: Kind::TokensPerDay, slices: slices.clone() };
        let kept = Days::Kept { at: 2 * HOUR, days: vec![day(None), day(Some(Lane(3)))] };
        assert_eq!(days("now", false), kept);
        assert!(matches!(days("now", true), Days::Kept { at: Duration::MAX, .. }), "no call is missing");
    }

    #[test]
    fn after_the_machine_stopped_all_of_it_counts_from_its_start() {
        let day = |used: u64, lane: Option<Lane>| DailyUse {
            lane,
            kind: Kind::TokensPerDay,
            slices: vec![(24 * HOUR, used)],
        };
        let kept = |used: u64| Days::Kept { at: Duration::ZERO, days: vec![day(used, None), day(used, Some(Lane(3)))] };
        assert_eq!(days("before", true), kept(42));
        assert_eq!(days("before", false), kept(52), "something may be missing");
    }

    #[test]
    fn what_cannot_be_read_counts_as_all_of_the_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = DayFile::new(dir.path(), "k");
        let clock = Clock::start();
        assert_eq!(file.read(&limits(), &[], &clock).expect("it reads"), Days::Fresh);
        file.write(&written("b", true)).expect("it writes");
        assert!(matches!(file.read(&limits(), &[], &clock).expect("it reads"), Days::Kept { .. }));
        fs::write(&file.0, "{").expect("it writes");
        assert_eq!(file.read(&limits(), &[], &clock).expect("it reads"), Days::Lost);
    }
}
