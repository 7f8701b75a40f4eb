//! Copies of fences.

use std::collections::VecDeque;

use crate::{domain::Fence, store::FenceScope};

/// So many at once.
const FENCES_MAX: usize = 1_024;

/// The copies in one shard, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Fences {
    copies: VecDeque<(FenceScope, Fence)>,
}

impl Fences {
    pub(super) fn get(&self, scope: &FenceScope) -> Option<&Fence> {
        self.copies.iter().find(|(other, _)| other == scope).map(|(_, fence)| fence)
    }

    /// Sets a copy, unless it is newer as it is.
    pub(super) fn raise(&mut self, scope: &FenceScope, fence: &Fence) {
        match self.copies.iter_mut().find(|(other, _)| other == scope) {
            Some((_, held)) if fence.supersedes(held) => *held = fence.clone(),
            Some(_) => {}
            None => {
                if self.copies.len() == FENCES_MAX {
                    self.copies.pop_front();
                }
                self.copies.push_back((scope.clone(), fence.clone()));
            }
        }
    }
}
