//! The scenarios that are built in.

use super::Scenario;

/// By name.
const ALL: [(&str, &str); 5] = [
    ("day-four", include_str!("../../scenarios/day-four.toml")),
    ("blackout", include_str!("../../scenarios/blackout.toml")),
    ("ten-times", include_str!("../../scenarios/ten-times.toml")),
    ("surge", include_str!("../../scenarios/surge.toml")),
    ("noisy-tenant", include_str!("../../scenarios/noisy-tenant.toml")),
];

/// Their names.
pub(super) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// The text of one.
pub(super) fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// All of them.
///
/// # Panics
/// Never: a test reads each.
pub(super) fn all() -> Vec<Scenario> {
    ALL.iter().map(|(name, text)| Scenario::parse(name, text).expect("a test reads each")).collect()
}
