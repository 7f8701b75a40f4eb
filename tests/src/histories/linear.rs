//! Whether a history is linearizable: whether every call can be given one moment between its beginning and its end, such
//! that the answers are those of an object that does one thing at a time.
//!
//! The search is Wing and Gong's (*Testing and Verifying Concurrent Objects*, 1993) with Lowe's memory of what was tried
//! (*Testing for linearizability*, 2017). It is exponential at worst; what is known of each call (its unique value, its
//! answer) keeps it short.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Something that does one thing at a time.
pub trait Object {
    /// What it is.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked of it, and what it answered.
    type Action: Debug;

    /// What it is at first.
    fn begin(&self) -> Self::State;

    /// What it may be after the action; nothing where the answer contradicts the state.
    fn after(&self, state: &Self::State, action: &Self::Action) -> Vec<Self::State>;
}

/// A call.
#[derive(Debug, Clone)]
pub struct Event<A> {
    /// What was asked, and answered.
    pub action: A,
    /// When it was called; any clock that all calls share.
    pub called: u64,
    /// When it was answered. `None`: never, so that it may take effect at any time from its call on, or not at all.
    pub returned: Option<u64>,
}

/// How far the search came: the call that no order explains is among the `open` ones.
#[derive(Debug, Clone)]
pub struct Contradiction {
    /// Calls that are explained.
    pub explained: usize,
    /// The calls of which one had to come next, and the state that it met.
    pub open: Vec<String>,
}

/// Looks for an order that explains a history.
///
/// # Errors
/// There is none.
pub fn check<O: Object>(object: &O, mut events: Vec<Event<O::Action>>) -> Result<(), Contradiction> {
    events.sort_by_key(|event| event.called);
    Search { object, events: &events, tried: HashSet::new() }.run()
}

struct Search<'s, O: Object> {
    object: &'s O,
    events: &'s [Event<O::Action>],
    tried: HashSet<(Done, O::State)>,
}

/// Which calls have their moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done {
    bits: Vec<u64>,
    /// Calls with an answer among them.
    answered: usize,
}

impl Done {
    fn has(&self, index: usize) -> bool {
        self.bits[index / 64] & (1 << (index % 64)) != 0
    }

    fn with(&self, index: usize, answered: bool) -> Self {
        let mut next = self.clone();
        next.bits[index / 64] |= 1 << (index % 64);
        next.answered += usize::from(answered);
        next
    }

    fn count(&self) -> usize {
        self.bits.iter().map(|bits| bits.count_ones() as usize).sum()
    }
}

impl<O: Object> Search<'_, O> {
    fn run(mut self) -> Result<(), Contradiction> {
        let answered = self.events.iter().filter(|event| event.returned.is_some()).count();
        let nothing = Done { bits: vec![0; self.events.len().div_ceil(64)], answered: 0 };
        let mut stack = vec![(nothing.clone(), self.object.begin())];
        let mut furthest = (0, nothing, self.object.begin());
        while let Some((done, state)) = stack.pop() {
            if done.answered == answered {
                return Ok(());
            }
            if done.count() >= furthest.0 {
                furthest = (done.count(), done.clone(), state.clone());
            }
            for index in self.next(&done).into_iter().rev() {
                let event = &self.events[index];
                for after in self.object.after(&state, &event.action) {
                    let follows = (done.with(index, event.returned.is_some()), after);
                    if self.tried.insert(follows.clone()) {
                        stack.push(follows);
                    }
                }
            }
        }
        let (explained, done, state) = furthest;
        let open = self.next(&done).into_iter().map(|index| format!("{:?}", self.events[index]));
        Err(Contradiction { explained, open: open.chain([format!("met {state:?}")]).collect() })
    }

    /// The calls that may come next: those that began before any other that is left had ended. What was never answered
    /// comes last, for it need not come at all.
    fn next(&self, done: &Done) -> Vec<usize> {
        let mut first_end = u64::MAX;
        let mut candidates = Vec::new();
        for (index, event) in self.events.iter().enumerate() {
            if event.called > first_end {
                break;
            }
            if !done.has(index) {
                first_end = first_end.min(event.returned.unwrap_or(u64::MAX));
                candidates.push(index);
            }
        }
        candidates.retain(|index| self.events[*index].called <= first_end);
        candidates.sort_by_key(|index| self.events[*index].returned.is_none());
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that can be read and set.
    struct Register;

    #[derive(Debug, Clone)]
    enum Action {
        Set(u8),
        Saw(u8),
    }

    impl Object for Register {
        type State = u8;
        type Action = Action;

        fn begin(&self) -> u8 {
            0
        }

        fn after(&self, state: &u8, action: &Action) -> Vec<u8> {
            match action {
                Action::Set(number) => vec![*number],
                Action::Saw(number) if number == state => vec![*state],
                Action::Saw(_) => Vec::new(),
            }
        }
    }

    fn event(action: Action, called: u64, returned: u64) -> Event<Action> {
        Event { action, called, returned: Some(returned) }
    }

    #[test]
    fn what_overlaps_may_come_in_either_order() {
        let set = event(Action::Set(1), 1, 5);
        for seen in [0, 1] {
            check(&Register, vec![set.clone(), event(Action::Saw(seen), 2, 3)]).unwrap();
        }
    }

    #[test]
    fn what_came_before_is_seen() {
        let history = vec![event(Action::Set(1), 1, 2), event(Action::Saw(0), 3, 4)];
        assert_eq!(check(&Register, history).unwrap_err().explained, 1);
    }

    #[test]
    fn nobody_sees_an_older_state_than_somebody_before_them() {
        let history = vec![event(Action::Set(1), 1, 9), event(Action::Saw(1), 2, 3), event(Action::Saw(0), 4, 5)];
        assert!(check(&Register, history).is_err());
    }

    #[test]
    fn a_call_without_an_answer_takes_effect_late_or_never() {
        let lost = Event { action: Action::Set(1), called: 1, returned: None };
        check(&Register, vec![lost.clone(), event(Action::Saw(0), 2, 3), event(Action::Saw(1), 4, 5)]).unwrap();
        check(&Register, vec![lost.clone(), event(Action::Saw(0), 2, 3)]).unwrap();
        let back = vec![lost, event(Action::Saw(1), 2, 3), event(Action::Saw(0), 4, 5)];
        assert!(check(&Register, back).is_err());
    }
}
