//! Numbers and marks, where the store of epochs is shared with other processes.
//!
//! Two processes' own counters do not compare, so that what ends or replaces an entry takes its
//! number from the store. What another process ended as a group is in the store's record before it
//! is acknowledged; so whoever reads a tier that others write asks for the record's mark beside
//! the bytes, and looks at the record again when the mark has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::coherence::{EpochMark, EpochStore, EpochTarget};
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Error, Result, Sequence, mutant, saturating_millis};

use super::restore::{in_time, not_known};
use super::stack::Stack;
use crate::shared::TenantState;

/// How long a store that did not give a number is left alone.
const NUMBER_RETRY: Duration = Duration::from_secs(1);

/// A number for what ends or replaces an entry.
#[derive(Debug)]
pub(crate) enum Number {
    /// The process numbers by itself; the number is taken under the key's lock.
    Own,
    /// The store gave it.
    Given(Sequence),
    /// The store should have given it and did not.
    Provisional(Sequence, Error),
}

impl Number {
    pub(crate) const OWN: Self = Self::Own;

    /// The number, if it was taken already.
    pub(crate) fn taken(&self) -> Option<Sequence> {
        match self {
            Self::Own => None,
            Self::Given(at) | Self::Provisional(at, _) => Some(*at),
        }
    }

    /// Why the number is not the store's.
    pub(crate) fn failure(&self) -> Option<&Error> {
        match self {
            Self::Provisional(_, error) => Some(error),
            Self::Own | Self::Given(_) => None,
        }
    }
}

/// What a tenant knows of its stored record.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    known: Mutex<EpochMark>,
    /// One look at the mark at a time.
    turn: tokio::sync::Mutex<()>,
    /// Looks that were begun.
    begun: AtomicU64,
    /// The latest look that found the record known.
    confirmed: AtomicU64,
    /// When the store is asked for numbers again, after it gave none.
    number_at: AtomicU64,
    /// Groups whose end the store was not told of yet.
    owed: Mutex<Vec<EpochTarget>>,
}

/// More groups than these are owed as the whole tenant.
const OWED_MAX: usize = 1_000;

impl Marks {
    /// The record as it was read.
    pub(crate) fn learn(&self, mark: EpochMark) {
        *self.known.lock() = mark;
    }

    /// The store was not told that these ended. Says whether nothing was owed before.
    pub(super) fn owe(&self, targets: &[EpochTarget]) -> bool {
        let mut owed = self.owed.lock();
        let was_empty = owed.is_empty();
        let new = targets.iter().filter(|target| !owed.contains(target));
        let new: Vec<_> = new.cloned().collect();
        owed.extend(new);
        if owed.len() > OWED_MAX {
            let is_all = owed.contains(&EpochTarget::Everything);
            owed.clear();
            owed.push(if is_all { EpochTarget::Everything } else { EpochTarget::Tenant });
        }
        was_empty
    }

    pub(super) fn owed(&self) -> Vec<EpochTarget> {
        self.owed.lock().clone()
    }

    /// The store was told. Says whether nothing is owed any more.
    pub(super) fn settle(&self, told: &[EpochTarget]) -> bool {
        let mut owed = self.owed.lock();
        owed.retain(|target| !told.contains(target));
        owed.is_empty()
    }
}

impl Stack {
    /// The store of epochs, where other processes use it too.
    pub(crate) fn shared_epochs(&self) -> Option<&Arc<dyn EpochStore>> {
        self.epochs().filter(|store| store.is_shared())
    }

    /// A number for what ends or replaces an entry. Costs a round trip where the store is shared.
    pub(crate) async fn number(&self, tenant: &TenantState) -> Number {
        let Some(store) = self.shared_epochs() else { return Number::Own };
        let sequence = tenant.epochs.sequence();
        let (now, marks) = (self.clock.now(), &tenant.marks);
        let asked = if !tenant.restoring.is_done() {
            Err(not_known())
        } else if now < marks.number_at.load(Ordering::Acquire) {
            Err(no_number())
        } else {
            in_time(store.next(&self.manager, &tenant.name, sequence.newest())).await
        };
        match asked {
            Ok(at) => {
                sequence.observe(at);
                Number::Given(at)
            }
            Err(error) => {
                if tenant.restoring.is_done() && now >= marks.number_at.load(Ordering::Acquire) {
                    self.epochs_failed("next", &error);
                    let again = now.saturating_add(saturating_millis(NUMBER_RETRY));
                    marks.number_at.store(again, Ordering::Release);
                }
                Number::Provisional(sequence.take_provisional(), error)
            }
        }
    }

    /// Makes sure that every group that was ended before this call is known here. Readers that
    /// come while one looks share the next look.
    pub(crate) async fn confirm_epochs(&self, tenant: &TenantState) -> Result<()> {
        let Some(store) = self.shared_epochs() else { return Ok(()) };
        if mutant::breaks("a read of a shared tier asks for the mark") {
            return Ok(());
        }
        let marks = &tenant.marks;
        let arrived = marks.begun.load(Ordering::Acquire);
        let _turn = marks.turn.lock().await;
        if marks.confirmed.load(Ordering::Acquire) > arrived {
            return Ok(());
        }
        let number = marks.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let looked = self.look_at_mark(&**store, tenant).await;
        match &looked {
            Ok(()) => marks.confirmed.store(number, Ordering::Release),
            Err(error) => self.epochs_failed("mark", error),
        }
        looked
    }

    async fn look_at_mark(&self, store: &dyn EpochStore, tenant: &TenantState) -> Result<()> {
        let mark = in_time(store.mark(&self.manager, &tenant.name)).await?;
        let known = *tenant.marks.known.lock();
        if mark == known {
            return Ok(());
        }
        let newest = tenant.epochs.sequence().newest();
        let changed = in_time(store.since(&self.manager, &tenant.name, known, newest)).await?;
        tenant.epochs.restore(&changed);
        tenant.marks.learn(changed.mark);
        Ok(())
    }
}

fn no_number() -> Error {
    use cache_enterprise_core::ErrorKind;
    Error::new(ErrorKind::Unavailable, "the store of epochs gave no number a moment ago")
}
