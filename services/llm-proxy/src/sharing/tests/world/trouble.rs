use super::{Books, MS, SECOND, World, event::Event};

impl<B: Books> World<B> {
    pub(super) fn trouble(&mut self) {
        let faults = self.plan.faults;
        let at = self.random.within(0, self.plan.processes as u64 - 1) as usize;
        if faults.crashes && self.random.once_in(4) {
            self.crash(at);
        }
        if faults.pauses && self.random.once_in(4) {
            self.processes[at].paused_until = self.now + self.random.within(MS, 4 * SECOND);
        }
        if faults.outages && self.random.once_in(4) {
            let until = self.now + self.random.within(MS, 5 * SECOND);
            if self.random.once_in(2) {
                self.away_until = until;
            } else {
                self.processes[at].cut_until = until;
            }
        }
        if faults.absences && self.random.once_in(4) {
            self.away_until = self.now + self.random.within(MS, 5 * SECOND);
        }
        if faults.replacements && self.random.once_in(8) {
            self.books.replace();
            self.life += 1;
        }
        let next = self.random.within(100 * MS, SECOND);
        self.after(next, Event::Trouble);
    }
}
