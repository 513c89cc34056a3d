//! Sequence and epochs, flushed before they are acknowledged.
//!
//! They live in a log of their own beside the store: a flush of the store's journal would wait
//! for every entry written since the last one, a flush of this file waits for a few bytes.

mod change;
mod log;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Clock, Result};
use parking_lot::Mutex;

use crate::DiskBackend;
use crate::backend::blocking;
use change::{Change, Scope};
use log::Log;

/// Targets a tenant keeps by name; beyond it the older half folds into the floor.
const TARGETS_MAX: usize = 100_000;

/// What is known of one tenant, or of a manager as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    sequence: Sequence,
    floor: Sequence,
    epochs: HashMap<EpochTarget, Sequence>,
}

impl State {
    /// Numbers only grow, so a change may be applied twice and in any order.
    fn apply(&mut self, change: &Change) {
        self.sequence = self.sequence.max(change.sequence);
        self.floor = self.floor.max(change.floor);
        for (target, epoch) in &change.epochs {
            let known = self.epochs.entry(target.clone()).or_default();
            *known = (*known).max(*epoch);
        }
        if self.epochs.len() > TARGETS_MAX {
            self.fold();
        }
    }

    fn fold(&mut self) {
        let mut epochs: Vec<Sequence> = self.epochs.values().copied().collect();
        let (_, middle, _) = epochs.select_nth_unstable(TARGETS_MAX / 2);
        let middle = *middle;
        self.epochs.retain(|_, epoch| *epoch > middle);
        self.floor = self.floor.max(middle);
    }
}

#[derive(Debug)]
struct Known {
    log: Log,
    states: HashMap<Scope, State>,
}

/// The epochs of all tenants of one directory.
#[derive(Debug)]
pub(crate) struct EpochLog {
    clock: Clock,
    known: Mutex<Known>,
}

impl EpochLog {
    /// Reads the log under `directory`, or starts one. Where the middle of it is damaged, every
    /// tenant starts cold: what the damage held may have been an invalidation.
    pub(crate) fn open(directory: &Path, clock: Clock) -> Result<Self> {
        let (log, changes, is_damaged) = Log::open(directory)?;
        let mut states: HashMap<Scope, State> = HashMap::new();
        for change in &changes {
            states.entry(change.scope.clone()).or_default().apply(change);
        }
        let mut known = Known { log, states };
        if is_damaged {
            let above = known.states.values().map(|state| state.sequence).max();
            let floor = above_all(above.unwrap_or_default(), &clock);
            for state in known.states.values_mut() {
                state.sequence = floor;
                state.floor = floor;
            }
            known.compact()?;
        }
        Ok(Self { clock, known: Mutex::new(known) })
    }

    fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let mut known = self.known.lock();
        let everything = known.states.get(&Scope::manager(manager)).cloned().unwrap_or_default();
        let scope = Scope::tenant(manager, tenant);
        if !known.states.contains_key(&scope) {
            // Never seen, or lost: the two cannot be told apart, so nothing older is trusted.
            let above = newest.max(everything.sequence);
            let start = above_all(above, &self.clock);
            known.commit(Change {
                scope: scope.clone(),
                sequence: start,
                floor: start,
                epochs: Vec::new(),
            })?;
        }
        let state = &known.states[&scope];
        let sequence = state.sequence.max(everything.sequence).max(newest);
        Ok(EpochRecord {
            sequence: Sequence(sequence.0 + 1),
            floor: state.floor.max(everything.floor),
            epochs: state
                .epochs
                .iter()
                .chain(&everything.epochs)
                .map(|(target, epoch)| (target.clone(), *epoch))
                .collect(),
            mark: EpochMark::default(),
        })
    }

    fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let mut known = self.known.lock();
        let whole = Scope::manager(manager);
        let scope = Scope::tenant(manager, tenant);
        let soft = EpochTarget::Everything.soft();
        let (is_hard, is_soft) =
            (targets.contains(&EpochTarget::Everything), targets.contains(&soft));
        let given = |scope: &Scope| known.states.get(scope).map(|state| state.sequence);
        let reached = match is_hard || is_soft {
            // It ends what tenants stored that this process has not opened, too.
            true => known.reached(manager),
            false => given(&whole).unwrap_or_default(),
        };
        let newest = above.max(reached);
        let (newest, floor) = match given(&scope) {
            Some(own) => (newest.max(own), Sequence::ZERO),
            // As in `load`: a tenant without a record starts above everything.
            None => {
                let start = above_all(newest, &self.clock);
                (start, start)
            }
        };
        let number = Sequence(newest.0 + 1);
        if is_hard || is_soft {
            // Also for tenants that are loaded later.
            known.commit(Change {
                scope: whole,
                sequence: number,
                floor: if is_hard { number } else { Sequence::ZERO },
                epochs: if is_soft { vec![(soft, number)] } else { Vec::new() },
            })?;
        }
        let epochs = targets.iter().map(|target| (target.clone(), number)).collect();
        known.commit(Change { scope, sequence: number, floor, epochs })?;
        Ok(number)
    }

    fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        let mut known = self.known.lock();
        let scope = Scope::tenant(manager, tenant);
        if known.states.get(&scope).is_some_and(|state| state.sequence >= upto) {
            return Ok(());
        }
        let floor = if known.states.contains_key(&scope) { Sequence::ZERO } else { upto };
        known.commit(Change { scope, sequence: upto, floor, epochs: Vec::new() })
    }
}

impl Known {
    /// The greatest number of a manager and of its tenants. Cost: a look at every scope.
    fn reached(&self, manager: &str) -> Sequence {
        let own = self.states.iter().filter(|(scope, _)| scope.is_of(manager));
        own.map(|(_, state)| state.sequence).max().unwrap_or_default()
    }

    /// Stores a change durably, then takes it over.
    fn commit(&mut self, change: Change) -> Result<()> {
        self.log.append(&change)?;
        self.states.entry(change.scope.clone()).or_default().apply(&change);
        if self.log.is_due_for_compaction() {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        let whole = self.states.iter().map(|(scope, state)| Change {
            scope: scope.clone(),
            sequence: state.sequence,
            floor: state.floor,
            epochs: state.epochs.iter().map(|(target, at)| (target.clone(), *at)).collect(),
        });
        self.log.replace(whole)
    }
}

/// A number above `newest` and above every number that a lost counter can have given.
fn above_all(newest: Sequence, clock: &Clock) -> Sequence {
    clock.tick();
    Sequence((newest.0 + 1).max(Sequence::from_wall_ms(clock.wall_ms()).0))
}

#[async_trait]
impl EpochStore for DiskBackend {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let (log, manager, tenant) =
            (Arc::clone(&self.epochs), manager.to_owned(), tenant.to_owned());
        blocking("load", move || log.load(&manager, &tenant, newest)).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let (log, manager, tenant) =
            (Arc::clone(&self.epochs), manager.to_owned(), tenant.to_owned());
        let targets = targets.to_vec();
        blocking("raise", move || log.raise(&manager, &tenant, &targets, above)).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        let (log, manager, tenant) =
            (Arc::clone(&self.epochs), manager.to_owned(), tenant.to_owned());
        blocking("reserve", move || log.reserve(&manager, &tenant, upto)).await
    }
}

#[cfg(test)]
mod tests;
