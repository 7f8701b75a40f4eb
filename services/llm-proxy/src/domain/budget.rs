//! What may be used in a day, or in the life of an invocation: set aside by an estimate before a call, settled by what the
//! call really used after it. Other processes' use is as they last told it.

mod day;

pub(crate) use day::Day;

/// One budget, as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    limit: u64,
    /// The day that it is for; it never goes back.
    day: Day,
    /// Which of this budget's days that is: what was set aside in an earlier one is no part of this one.
    turn: u32,
    /// By calls of this process that have ended.
    used: u64,
    /// By calls of this process that are under way.
    reserved: u64,
    /// By other processes, their calls under way included.
    others: u64,
    /// Whether what is kept of it was read: until then there may be more of this process's own.
    met: bool,
}

/// Tokens that are set aside for a call.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it is to be settled"]
pub(crate) struct Reservation {
    turn: u32,
    pub(crate) tokens: u64,
}

/// Why nothing was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) limit: u64,
    /// Used and set aside, by all.
    pub(crate) used: u64,
    pub(crate) needed: u64,
    pub(crate) why: Short,
}

/// What it is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// The call alone needs more than there ever is.
    Never,
    /// Too much is used.
    Used,
    /// There is enough, but calls that are under way may still use it.
    UnderWay,
}

impl Budget {
    pub(crate) fn new(limit: u64, day: Day) -> Self {
        Self { limit, day, turn: 0, used: 0, reserved: 0, others: 0, met: false }
    }

    pub(crate) fn day(&self) -> Day {
        self.day
    }

    /// Sets tokens aside for a call, or says what it is short of. No two calls are given the same tokens.
    pub(crate) fn reserve(&mut self, tokens: u64, today: Day) -> Result<Reservation, Spent> {
        self.turn_to(today);
        let settled = self.used.saturating_add(self.others);
        let used = settled.saturating_add(self.reserved);
        if used.saturating_add(tokens) <= self.limit {
            self.reserved = self.reserved.saturating_add(tokens);
            return Ok(Reservation { turn: self.turn, tokens });
        }
        let why = match () {
            () if tokens > self.limit => Short::Never,
            () if settled.saturating_add(tokens) > self.limit => Short::Used,
            () => Short::UnderWay,
        };
        Err(Spent { limit: self.limit, used, needed: tokens, why })
    }

    /// The call has ended, having used so much. It counts on the day on which it began.
    pub(crate) fn settle(&mut self, reservation: Reservation, used: u64) {
        if reservation.turn == self.turn {
            self.reserved = self.reserved.saturating_sub(reservation.tokens);
            self.used = self.used.saturating_add(used);
        }
    }

    /// What is kept of the last day of which anything is: of this process, and of all others. What is then to be kept of
    /// this one, where it is something else.
    pub(crate) fn heard(&mut self, kept: Kept) -> Option<u64> {
        let Kept { day, own, others } = if kept.day < self.day { Kept::nothing(self.day) } else { kept };
        if day > self.day {
            // A day that was seen once does not come back. What was used before anything was known counts on this one.
            if self.met {
                self.turn_to(day);
            }
            self.day = day;
        }
        if !std::mem::replace(&mut self.met, true) {
            self.used = self.used.saturating_add(own);
        }
        self.others = others;
        let mine = self.mine();
        (mine != own).then_some(mine)
    }

    /// Whether no calls are under way, and so much is all that others must take for used.
    pub(crate) fn rests_at(&self, kept: u64) -> bool {
        self.reserved == 0 && self.used == kept
    }

    /// What other processes must take for used.
    pub(crate) fn mine(&self) -> u64 {
        self.used.saturating_add(self.reserved)
    }

    fn turn_to(&mut self, today: Day) {
        if today > self.day {
            self.day = today;
            self.turn += 1;
            (self.used, self.reserved, self.others) = (0, 0, 0);
        }
    }
}

/// What processes have kept of a budget, added up for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) day: Day,
    pub(crate) own: u64,
    pub(crate) others: u64,
}

impl Kept {
    pub(crate) fn nothing(day: Day) -> Self {
        Self { day, own: 0, others: 0 }
    }

    /// Of the records of several days and processes, the last day's. Each is a day, whether it is this process's own, and
    /// its tokens.
    pub(crate) fn of(records: impl IntoIterator<Item = (Day, bool, u64)>) -> Self {
        records.into_iter().fold(Self::nothing(Day::ALWAYS), |sum, (day, own, tokens)| {
            let mut sum = if day > sum.day { Self::nothing(day) } else { sum };
            if day == sum.day {
                let part = if own { &mut sum.own } else { &mut sum.others };
                *part = part.saturating_add(tokens);
            }
            sum
        })
    }
}

#[cfg(test)]
mod tests;
