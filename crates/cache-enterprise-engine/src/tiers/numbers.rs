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
use cache_enterprise_core::{
    Error, ErrorKind, Result, Sequence, StoredKey, mutant, saturating_millis,
};
use hashbrown::HashSet;

use super::restore::in_time;
use super::stack::Stack;
use crate::shared::TenantState;

/// Longest wait for a number or a mark: as long as a tier may take for a call.
const SOON: Duration = Duration::from_millis(250);

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
    looks: Mutex<Looks>,
    /// When the store is asked for numbers again, after it gave none.
    number_at: AtomicU64,
    owed: Mutex<Owed>,
    /// The number under which keys were ended last that had ended without one.
    ended_again: AtomicU64,
}

/// What has no number of the store's yet.
#[derive(Debug, Default)]
struct Owed {
    groups: Vec<EpochTarget>,
    keys: HashSet<StoredKey>,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.keys.is_empty()
    }
}

/// More groups than these, and more keys than those, are owed as the whole tenant.
const OWED_GROUPS_MAX: usize = 1_000;
const OWED_KEYS_MAX: usize = 100_000;

/// Looks at the mark, numbered as they begin.
#[derive(Debug, Default)]
struct Looks {
    begun: u64,
    /// The latest that found the record known, or learned it.
    confirmed: u64,
    /// The latest that failed.
    failed: u64,
}

/// What the looks of others mean to a reader who waited for its turn.
enum Verdict {
    Confirmed,
    Failed,
    LookOneself,
}

impl Looks {
    /// Whether the latest has not ended yet, or was given up by its reader.
    fn is_under_way(&self) -> bool {
        self.begun > self.confirmed.max(self.failed)
    }

    /// For a reader who came when `arrived` looks had begun, the last of them still under way or
    /// not: a look that began after it came answers it; of the one it met, only the failure does.
    fn of(&self, arrived: u64, met_one: bool) -> Verdict {
        if self.confirmed > arrived {
            Verdict::Confirmed
        } else if self.failed > arrived || (met_one && self.failed == arrived) {
            Verdict::Failed
        } else {
            Verdict::LookOneself
        }
    }
}

impl Marks {
    /// The record as it was read.
    pub(crate) fn learn(&self, mark: EpochMark) {
        *self.known.lock() = mark;
    }

    /// Lets the next number be asked for, though the store gave none a moment ago.
    pub(super) fn ask_at_once(&self) {
        self.number_at.store(0, Ordering::Release);
    }

    /// The store was not told that these groups ended. Says whether nothing was owed before.
    pub(super) fn owe_groups(&self, targets: &[EpochTarget]) -> bool {
        let mut owed = self.owed.lock();
        let was_empty = owed.is_empty();
        let new = targets.iter().filter(|target| !owed.groups.contains(target));
        let new: Vec<_> = new.cloned().collect();
        owed.groups.extend(new);
        if owed.groups.len() > OWED_GROUPS_MAX {
            let is_all = owed.groups.contains(&EpochTarget::Everything);
            owed.groups.clear();
            owed.groups.push(if is_all { EpochTarget::Everything } else { EpochTarget::Tenant });
        }
        was_empty
    }

    /// These keys ended without a number. Says whether nothing was owed before.
    fn owe_keys<'a>(&self, keys: impl Iterator<Item = &'a StoredKey>) -> bool {
        let mut owed = self.owed.lock();
        let was_empty = owed.is_empty();
        for key in keys {
            if owed.keys.len() < OWED_KEYS_MAX {
                owed.keys.insert(key.clone());
            } else if !owed.groups.contains(&EpochTarget::Tenant) {
                owed.groups.push(EpochTarget::Tenant);
            }
        }
        was_empty
    }

    /// Whether a group ended that the store was not told of.
    pub(super) fn owes_groups(&self) -> bool {
        !self.owed.lock().groups.is_empty()
    }

    /// Whether what another process wrote under `at` may be older than what ended here without a
    /// number, and has one now.
    pub(super) fn may_precede(&self, at: Sequence) -> bool {
        at.0 < self.ended_again.load(Ordering::Acquire)
    }

    pub(super) fn owed_groups(&self) -> Vec<EpochTarget> {
        self.owed.lock().groups.clone()
    }

    /// In the order of the keys, so that what follows from it can be played again.
    pub(super) fn owed_keys(&self) -> Vec<StoredKey> {
        let mut keys: Vec<_> = self.owed.lock().keys.iter().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// The store was told of these groups.
    pub(super) fn settle_groups(&self, told: &[EpochTarget]) {
        self.owed.lock().groups.retain(|target| !told.contains(target));
    }

    pub(super) fn settle_key(&self, key: &StoredKey) {
        self.owed.lock().keys.remove(key);
    }

    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.lock().is_empty()
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
        if mutant::breaks("numbers come from the store that all share") {
            return Number::Own;
        }
        let sequence = tenant.epochs.sequence();
        let (now, marks) = (self.clock.now(), &tenant.marks);
        let asked = if !tenant.restoring.is_done() {
            Err(self.not_known())
        } else if now < marks.number_at.load(Ordering::Acquire) {
            Err(no_number())
        } else {
            soon(store.next(&self.manager, &tenant.name, sequence.newest())).await
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

    /// Keys that ended under numbers of this process: what the tiers hold of them is a miss, however
    /// new, until they are ended again under a number of the store's.
    pub(super) fn owe_unnumbered<'a>(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        keys: impl Iterator<Item = &'a StoredKey> + Clone,
    ) {
        if mutant::breaks("a removal without a number is made again") {
            return;
        }
        for index in 0..self.levels.len() {
            keys.clone().for_each(|key| self.debts(index).owe(key, Sequence::MAX));
        }
        if tenant.marks.owe_keys(keys) {
            self.tell_store_later(tenant);
        }
    }

    /// Ends keys again that ended without a number; answers whether a number was had.
    pub(super) async fn end_unnumbered(&self, tenant: &Arc<TenantState>) -> bool {
        let keys = tenant.marks.owed_keys();
        if keys.is_empty() {
            return true;
        }
        let Number::Given(at) = self.number(tenant).await else { return false };
        tenant.marks.ended_again.fetch_max(at.0, Ordering::AcqRel);
        for key in keys {
            let pass = self.gates.fence(&key, at);
            let _turn = pass.turn.lock().await;
            let mut is_told = true;
            for index in (0..self.levels.len()).rev() {
                match self.remove_from(index, &key, at).await {
                    Ok(_) => self.debts(index).settle(&key, Sequence::MAX),
                    Err(_) => is_told = false,
                }
            }
            if is_told {
                tenant.marks.settle_key(&key);
                // What the bus does not take stays in its line.
                let _ = self.tell_key(tenant, &key, at).await;
            }
        }
        true
    }

    /// Makes sure that every group that was ended before this call is known here. Readers that
    /// come while one looks share the next look.
    pub(crate) async fn confirm_epochs(&self, tenant: &TenantState) -> Result<()> {
        let Some(store) = self.shared_epochs() else { return Ok(()) };
        if mutant::breaks("a read of a shared tier asks for the mark") {
            return Ok(());
        }
        let marks = &tenant.marks;
        // A group that ended here without a number of the store's may have ended what others wrote
        // under greater ones: which, nobody knows until it has one.
        if marks.owes_groups() && !mutant::breaks("a group without a number hides what is shared") {
            return Err(not_confirmed());
        }
        let (arrived, met_one) = {
            let looks = marks.looks.lock();
            (looks.begun, looks.is_under_way())
        };
        let _turn = marks.turn.lock().await;
        let number = {
            let mut looks = marks.looks.lock();
            match looks.of(arrived, met_one) {
                Verdict::Confirmed => return Ok(()),
                Verdict::Failed => return Err(not_confirmed()),
                Verdict::LookOneself => {}
            }
            looks.begun += 1;
            looks.begun
        };
        let looked = self.look_at_mark(&**store, tenant).await;
        let mut looks = marks.looks.lock();
        match &looked {
            Ok(()) => looks.confirmed = number,
            Err(error) => {
                looks.failed = number;
                self.epochs_failed("mark", error);
            }
        }
        looked
    }

    async fn look_at_mark(&self, store: &dyn EpochStore, tenant: &TenantState) -> Result<()> {
        let mark = soon(store.mark(&self.manager, &tenant.name)).await?;
        let known = *tenant.marks.known.lock();
        if mark == known {
            return Ok(());
        }
        let newest = tenant.epochs.sequence().newest();
        let changed = in_time(store.since(&self.manager, &tenant.name, known, newest)).await?;
        if !mutant::breaks("another mark has the record read again") {
            tenant.epochs.restore(&changed);
        }
        tenant.marks.learn(changed.mark);
        Ok(())
    }
}

async fn soon<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(Error::new(ErrorKind::Timeout, "the store of epochs did not answer"));
    tokio::time::timeout(SOON, work).await.unwrap_or_else(late)
}

fn not_confirmed() -> Error {
    let text = "the store of epochs could not be asked what was invalidated";
    Error::new(ErrorKind::Unavailable, text)
}

fn no_number() -> Error {
    Error::new(ErrorKind::Unavailable, "the store of epochs gave no number a moment ago")
}
