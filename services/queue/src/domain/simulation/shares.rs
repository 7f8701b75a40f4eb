//! Whether the picks of a round keep to the tenants' shares.

use std::collections::BTreeMap;

use super::TENANTS;

/// What tenants had in one round of picks, by agent type.
#[derive(Default)]
pub(super) struct Shares {
    picks: BTreeMap<(usize, usize), u32>,
    /// For each agent type and two tenants: what each had had when both began to have work together.
    since: BTreeMap<(usize, usize, usize), (u32, u32)>,
}

impl Shares {
    /// Between rounds anything may have come or gone.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    pub(super) fn picked(
        &mut self,
        agent: usize,
        tenant: usize,
        ready: &[usize; TENANTS.len()],
    ) -> Result<(), &'static str> {
        let both = || (0..TENANTS.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        let had = |picks: &BTreeMap<_, _>, tenant| picks.get(&(agent, tenant)).copied().unwrap_or(0);
        self.since.retain(|(of, one, other), _| *of != agent || (ready[*one] > 0 && ready[*other] > 0));
        for (one, other) in both().filter(|(one, other)| ready[*one] > 0 && ready[*other] > 0) {
            let begun = (had(&self.picks, one), had(&self.picks, other));
            self.since.entry((agent, one, other)).or_insert(begun);
        }
        *self.picks.entry((agent, tenant)).or_default() += 1;
        for (one, other) in both() {
            let Some((had_one, had_other)) = self.since.get(&(agent, one, other)) else { continue };
            let share = |tenant: usize, before: u32| {
                f64::from(had(&self.picks, tenant) - before) / f64::from(TENANTS[tenant].1)
            };
            // A round's picks of either, and what each has left of one.
            if (share(one, *had_one) - share(other, *had_other)).abs() > 3.0 {
                return Err("the picks do not keep to the shares");
            }
        }
        // Who runs out of work begins anew.
        if ready[tenant] == 1 {
            self.since.retain(|(of, one, other), _| *of != agent || (*one != tenant && *other != tenant));
        }
        Ok(())
    }
}
