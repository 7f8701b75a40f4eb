/// What is tried.
#[derive(Debug, Clone)]
pub(in super::super) struct Plan {
    pub(in super::super) processes: usize,
    pub(in super::super) window: u64,
    /// Requests, tokens, places, all as the provider allows them.
    pub(in super::super) limits: [u64; 3],
    pub(in super::super) reserve_percent: u64,
    /// A call comes to a process about so often, in microseconds.
    pub(in super::super) gap: u64,
    pub(in super::super) tokens_max: u64,
    pub(in super::super) call_max: u64,
    pub(in super::super) faults: Faults,
    pub(in super::super) until: u64,
}

/// Which happen now and then.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Faults {
    pub(in super::super) crashes: bool,
    pub(in super::super) pauses: bool,
    /// Messages are lost, or come late.
    pub(in super::super) losses: bool,
    /// Redis is not reached for a while, by one or all.
    pub(in super::super) outages: bool,
    /// By nobody.
    pub(in super::super) absences: bool,
    pub(in super::super) replacements: bool,
}
