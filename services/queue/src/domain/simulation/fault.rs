//! Faults planted on purpose, to see that the checker of the history finds them.

/// What the simulated queue does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It acknowledges a submission that the store has refused.
    EarlyAcknowledgement,
    /// It lets anybody end the work, by whatever lease.
    IgnoredFence,
    /// It forgets what shall be tried again.
    LostRetry,
    /// It tries again at once, whatever the policy says.
    EagerRetry,
    /// It gives up before the policy does.
    LostAttempts,
    /// It ends what has ended.
    DoubleTerminal,
    /// It favours a tenant.
    UnfairPick,
    /// It knows of no sessions.
    SessionOrderIgnored,
    /// It knows of no deadlines.
    DeadlineIgnored,
    /// It never frees the lease of a worker that is gone.
    LeaseNotFreed,
    /// It frees leases before their time.
    LeaseFreedEarly,
    /// It confirms that running work was cancelled, and lets it go on.
    CancelledCompletes,
    /// It grants every lease under the same fence.
    FenceNotRising,
    /// It ends work without fencing a holder that is still out there.
    EndNotFenced,
    /// It leases without looking who has it.
    BlindClaim,
    /// It refuses the repeat of a completion that it has taken.
    RepeatRefused,
    /// It takes the same submission twice.
    KeyIgnored,
    /// It lets everybody in.
    LimitIgnored,
    /// It does not count what comes back.
    Miscount,
}
