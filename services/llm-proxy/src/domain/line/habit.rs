//! What a tenant's calls use of what is reserved for them: they are charged that much when they start, so that whoever
//! reserves carefully does not wait for tokens that it never uses.

/// What is remembered: twice so much, the older half fading.
const MEMORY: u64 = 1 << 20;
/// What one call teaches, at most.
const LESSON_MAX: u64 = MEMORY / 16;
/// What somebody new is taken for like everybody: gone after a few calls of its own.
const PRIOR: u64 = 1 << 9;
/// The least part of a reserve that is charged.
const PART_MIN: u64 = 256;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habit {
    reserved: u64,
    used: u64,
}

impl Habit {
    /// A newcomer's, where this is everybody's.
    pub(super) fn of_a_newcomer(self) -> Self {
        Self { reserved: PRIOR, used: self.expect(PRIOR) }
    }

    /// What a reserve like this comes to.
    pub(super) fn expect(self, reserved: u64) -> u64 {
        if self.reserved == 0 {
            return reserved;
        }
        let expected = u128::from(reserved) * u128::from(self.used) / u128::from(self.reserved);
        u64::try_from(expected).unwrap_or(u64::MAX).max(reserved / PART_MIN).max(1)
    }

    pub(super) fn learn(&mut self, reserved: u64, used: u64) {
        let lesson = reserved.min(LESSON_MAX);
        let part = u128::from(used) * u128::from(lesson) / u128::from(reserved.max(1));
        self.reserved = self.reserved.saturating_add(lesson);
        self.used = self.used.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
        while self.reserved > 2 * MEMORY {
            (self.reserved, self.used) = (self.reserved / 2, self.used / 2);
        }
    }
}
