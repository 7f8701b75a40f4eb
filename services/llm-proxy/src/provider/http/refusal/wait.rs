//! How long a provider wants to be left alone, from whichever header says it.
//! Sources: <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>,
//! <https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>,
//! <https://docs.anthropic.com/en/api/rate-limits#response-headers>

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, RETRY_AFTER};
use prost_types::Timestamp;

/// The longest wait that is believed.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The limits of which OpenAI says what is left, as others do after it.
const OPENAI: [&str; 2] = ["requests", "tokens"];
/// And Anthropic.
const ANTHROPIC: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];

/// The wait: as the provider says it outright, else until the limits that are used up come back. `None` where it does not say.
pub(super) fn told(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = || seconds(text("retry-after-ms")?.parse::<f64>().ok()? / 1_000.0);
    let outright = || {
        let value = text(RETRY_AFTER.as_str())?;
        value.parse().ok().and_then(seconds).or_else(|| Some(until(headers, httpdate::parse_http_date(value).ok()?)))
    };
    let openai = || {
        let limits = OPENAI.map(|limit| {
            let reset = span(text(&format!("x-ratelimit-reset-{limit}"))?)?;
            Some((reset, text(&format!("x-ratelimit-remaining-{limit}")) == Some("0")))
        });
        resets(limits)
    };
    let anthropic = || {
        let limits = ANTHROPIC.map(|limit| {
            let reset = moment(text(&format!("anthropic-ratelimit-{limit}-reset"))?)?;
            Some((until(headers, reset), text(&format!("anthropic-ratelimit-{limit}-remaining")) == Some("0")))
        });
        resets(limits)
    };
    let wait = millis().or_else(outright).or_else(openai).or_else(anthropic)?;
    Some(wait.min(WAIT_MAX))
}

/// The longest wait among the limits that are used up; where none is marked so, the longest of all.
fn resets<const N: usize>(limits: [Option<(Duration, bool)>; N]) -> Option<Duration> {
    let limits = || limits.iter().flatten();
    let used_up = limits().filter(|(_, used_up)| *used_up).map(|(wait, _)| *wait).max();
    used_up.or_else(|| limits().map(|(wait, _)| *wait).max())
}

fn seconds(seconds: f64) -> Option<Duration> {
    let sane = seconds.is_finite() && seconds >= 0.0;
    sane.then(|| Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64())))
}

/// The time until a moment, by the provider's own clock where it shows it: ours may be another.
fn until(headers: &HeaderMap, moment: SystemTime) -> Duration {
    let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    moment.duration_since(date.unwrap_or_else(SystemTime::now)).unwrap_or_default()
}

fn moment(rfc3339: &str) -> Option<SystemTime> {
    SystemTime::try_from(rfc3339.parse::<Timestamp>().ok()?).ok()
}

/// A span as Go writes it, such as `6m0s`, `1.5s` or `120ms`; a number alone is seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(number) = text.parse() {
        return seconds(number);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let unit = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    if text.is_empty() { None } else { seconds(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let header = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), value.parse().expect("a value"))
        };
        told(&pairs.iter().map(header).collect())
    }

    const fn ms(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn a_wait_is_read_in_whichever_words_it_is_said() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("retry-after", "7")]), ms(7_000));
        assert_eq!(of(&[("retry-after", "0.5")]), ms(500));
        assert_eq!(of(&[("retry-after", "7"), ("retry-after-ms", "6500")]), ms(6_500));
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(of(&[date, ("retry-after", "Wed, 21 Oct 2026 07:28:07 GMT")]), ms(7_000));
        assert_eq!(of(&[date, ("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT")]), ms(0), "it is over");
        for nonsense in ["-1", "soon", "NaN", "", "1e400"] {
            assert_eq!(of(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn a_date_is_compared_with_this_machine_where_the_provider_shows_no_clock() {
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let wait = of(&[("retry-after", &later)]).expect("a wait");
        assert!((Duration::from_secs(90)..=Duration::from_secs(100)).contains(&wait), "{wait:?}");
    }

    #[test]
    fn openai_s_resets_count_where_nothing_is_said_outright() {
        let both = [("x-ratelimit-reset-requests", "120ms"), ("x-ratelimit-reset-tokens", "6m0s")];
        let (requests, tokens) = (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-remaining-tokens", "149984"));
        assert_eq!(of(&both), ms(360_000), "the longer one, where neither is marked");
        assert_eq!(of(&[both[0], both[1], requests, tokens]), ms(120), "the one that is used up");
        assert_eq!(of(&[both[0], both[1], ("retry-after", "3")]), ms(3_000));
        assert_eq!(of(&[("x-ratelimit-reset-tokens", "1h2m59.5s")]), ms(3_779_500));
        assert_eq!(of(&[("x-ratelimit-reset-requests", "30")]), ms(30_000), "Azure");
        assert_eq!(of(&[("x-ratelimit-reset-requests", "6 parsecs")]), None);
    }

    #[test]
    fn anthropic_s_resets_count_by_the_provider_s_own_clock() {
        let all = [
            ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:02Z"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-10-21T09:28:31+02:00"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-10-21T07:30:00Z"),
        ];
        assert_eq!(of(&all), ms(31_000));
        assert_eq!(of(&[all[0], all[1], all[5]]), ms(120_000));
        assert_eq!(of(&[("anthropic-ratelimit-requests-reset", "soon")]), None);
    }

    #[test]
    fn a_wait_is_bounded() {
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(of(&[("retry-after", "99999999999")]), day);
        assert_eq!(of(&[("retry-after", "1e100")]), day);
        assert_eq!(of(&[("x-ratelimit-reset-requests", "9999h")]), day);
        assert_eq!(
            of(&[("date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("retry-after", "Sat, 21 Oct 2056 07:28:00 GMT")]),
            day
        );
    }
}
