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

/// Groups that ended and have no number of the store's yet.
#[derive(Debug, Default)]
struct Owed {
    groups: Vec<DueGroup>,
    /// Counts the ends, so that one is told from a later one of the same group.
    times: u64,
}

/// A group that is to be raised again, as of its last end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DueGroup {
    pub(super) target: EpochTarget,
    time: u64,
}

/// The ends of all tenants at once that have no number of the store's yet. The tenant that ended
/// them owes them as a group of its own, and no tenant believes what others write until it is told.
#[derive(Debug, Default)]
pub(super) struct OwedEverything {
    times: AtomicU64,
    settled: AtomicU64,
}

impl OwedEverything {
    /// Everything ended without a number. Noted before the group is owed, so that what settles the
    /// group settles this too.
    pub(super) fn owe(&self) {
        self.times.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that happened.
    pub(super) fn times(&self) -> u64 {
        self.times.load(Ordering::Acquire)
    }

    /// Everything was ended under a number drawn after it had ended without one `times` times.
    pub(super) fn settle(&self, times: u64) {
        self.settled.fetch_max(times, Ordering::AcqRel);
    }

    fn is_owed(&self) -> bool {
        self.settled.load(Ordering::Acquire) < self.times()
    }
}

/// More groups than these are owed as the whole tenant.
const OWED_GROUPS_MAX: usize = 1_000;

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
        let was_empty = owed.groups.is_empty();
        owed.times += 1;
        let time = owed.times;
        for target in targets {
            match owed.groups.iter_mut().find(|held| held.target == *target) {
                Some(held) => held.time = time,
                None => owed.groups.push(DueGroup { target: target.clone(), time }),
            }
        }
        if owed.groups.len() > OWED_GROUPS_MAX {
            let is_all = owed.groups.iter().any(|held| held.target == EpochTarget::Everything);
            let target = if is_all { EpochTarget::Everything } else { EpochTarget::Tenant };
            owed.groups = vec![DueGroup { target, time }];
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

    pub(super) fn due_groups(&self) -> Vec<DueGroup> {
        self.owed.lock().groups.clone()
    }

    /// The store was told of these groups, after they were [due](Self::due_groups). One that has
    /// ended anew since stays owed.
    pub(super) fn settle_groups(&self, told: &[DueGroup]) {
        self.owed.lock().groups.retain(|held| !told.contains(held));
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

    /// Whether the store should have given the number and did not. Where a process numbers by itself
    /// all its numbers are in order, also those among ends that its store did not keep.
    pub(super) fn is_unnumbered(&self, tenant: &TenantState, at: Sequence) -> bool {
        self.shared_epochs().is_some() && tenant.epochs.sequence().is_provisional(at)
    }

    /// Keys that ended under numbers of this process: what the tiers hold of them is a miss, however
    /// new, until they are ended again under a number of the store's.
    pub(super) fn owe_unnumbered<'a>(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        at: Sequence,
        keys: impl Iterator<Item = &'a StoredKey>,
    ) {
        if mutant::breaks("a removal without a number is made again") {
            return;
        }
        let noted = self.unnumbered.owe(tenant.id, at, keys);
        let is_first_group = noted.is_over && tenant.marks.owe_groups(&[EpochTarget::Tenant]);
        if noted.is_first || is_first_group {
            self.tell_store_later(tenant);
        }
    }

    /// Ends keys again that ended without a number; answers whether a number was had.
    pub(super) async fn end_unnumbered(&self, tenant: &Arc<TenantState>) -> bool {
        let keys = self.unnumbered.due(tenant.id);
        if keys.is_empty() {
            return true;
        }
        let Number::Given(at) = self.number(tenant).await else { return false };
        tenant.marks.ended_again.fetch_max(at.0, Ordering::AcqRel);
        for due in keys {
            let pass = self.gates.fence(&due.key, at);
            let _turn = pass.turn.lock().await;
            if !self.unnumbered.is_due(&due) {
                continue;
            }
            for index in (0..self.levels.len()).rev() {
                // What a tier is not told it owes from now on, under the number.
                let _ = self.remove_from(index, &due.key, at).await;
            }
            self.unnumbered.settle(&due);
            // What the bus does not take stays in its line.
            let _ = self.tell_key(tenant, &due.key, at).await;
        }
        true
    }

    /// Whether a group ended here without a number of the store's. It may have ended what others
    /// wrote under greater ones: which, nobody knows until it has one.
    pub(crate) fn owes_groups(&self, tenant: &TenantState) -> bool {
        (tenant.marks.owes_groups() || self.everything.is_owed())
            && !mutant::breaks("a group without a number hides what is shared")
    }

    /// Fails while nothing that a shared level gives could be believed, so that none is asked.
    pub(super) fn may_believe(&self, tenant: &TenantState) -> Result<()> {
        if self.owes_groups(tenant) { Err(not_confirmed()) } else { Ok(()) }
    }

    /// Makes sure that every group that was ended before this call is known here. Readers that
    /// come while one looks share the next look.
    pub(crate) async fn confirm_epochs(&self, tenant: &TenantState) -> Result<()> {
        let Some(store) = self.shared_epochs() else { return Ok(()) };
        if mutant::breaks("a read of a shared tier asks for the mark") {
            return Ok(());
        }
        self.may_believe(tenant)?;
        let marks = &tenant.marks;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_owed_until_its_last_end_was_told() {
        let marks = Marks::default();
        assert!(marks.owe_groups(&[EpochTarget::Tenant]), "nothing was owed before");
        let due = marks.due_groups();
        assert!(!marks.owe_groups(&[EpochTarget::Tenant]));
        marks.settle_groups(&due);
        assert!(marks.owes_groups(), "it has ended anew since");
        marks.settle_groups(&marks.due_groups());
        assert!(!marks.owes_groups());
    }

    #[test]
    fn too_many_groups_are_owed_as_the_whole_tenant() {
        let marks = Marks::default();
        for number in 0..=OWED_GROUPS_MAX {
            marks.owe_groups(&[EpochTarget::Tag(format!("t{number}").into())]);
        }
        let due: Vec<_> = marks.due_groups().into_iter().map(|due| due.target).collect();
        assert_eq!(due, [EpochTarget::Tenant]);
    }
}
