//! Where the policies of one strategy say how far they are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many policies there are, and how many have seen enough.
#[derive(Debug, Default)]
pub(in super::super) struct Progress {
    policies: AtomicUsize,
    learned: AtomicUsize,
}

impl Progress {
    /// A policy begins.
    pub(super) fn joined(&self) {
        self.policies.fetch_add(1, Ordering::Relaxed);
    }

    /// A policy has seen enough, said once for each that keeps a `told` of its own.
    pub(super) fn learned(&self, told: &mut bool) {
        if !std::mem::replace(told, true) {
            self.learned.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A policy ends.
    pub(super) fn left(&self, told: bool) {
        self.policies.fetch_sub(1, Ordering::Relaxed);
        self.learned.fetch_sub(usize::from(told), Ordering::Relaxed);
    }

    /// Policies that are, and those of them that have seen enough.
    pub(in super::super) fn counts(&self) -> (usize, usize) {
        (self.policies.load(Ordering::Relaxed), self.learned.load(Ordering::Relaxed))
    }
}
