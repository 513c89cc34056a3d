//! Sequence and epochs of tenants, in the store that outlives the process.
//!
//! Before a tenant's record is known nothing a tier holds may be believed: an epoch in the record
//! may have ended it. Nor are numbers of the tenant's counter above those that the tiers hold. So
//! a tenant's first call takes the record over before it reads or writes.
//!
//! When the store does not answer, that call and those beside it wait once. From then on the
//! record is asked for in the background, and calls go on without waiting: level 1 and loaders
//! answer, tiers forget what is written and are not read. What was removed or set meanwhile got
//! numbers that may be below those of bytes in a tier, which would then win. Therefore a tenant
//! that took numbers before it knew its record starts cold: taking over raises the tenant's own
//! epoch first.
//!
//! A process that numbers by itself writes nothing below under a number that the store has not
//! reserved: the next process would give it again, and take the value for newer than its own ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cache_enterprise_core::coherence::{Change, EpochStore, EpochTarget};
use cache_enterprise_core::{Error, ErrorKind, Event, Result, Sequence, mutant, saturating_millis};

use super::stack::{Job, Stack, joined};
use crate::shared::TenantState;

/// Numbers reserved at a time, so that the epoch store is asked once in a million writes.
const RESERVE_STEP: u64 = 1 << 20;

/// Longest wait for the store that keeps epochs.
const EPOCHS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a store that did not answer is asked again.
const EPOCHS_RETRY: Duration = Duration::from_secs(1);

/// How far a tenant's stored record is taken over.
#[derive(Debug)]
pub(crate) struct Restoring {
    is_done: AtomicBool,
    /// The store did not answer; it is asked in the background.
    is_late: AtomicBool,
    turn: tokio::sync::Mutex<()>,
    /// Numbers up to this one are promised to this process by the store.
    reserved: AtomicU64,
    /// When the store is asked for further numbers again, after it did not give them.
    reserve_at: AtomicU64,
}

impl Restoring {
    /// Done at once where nothing is stored.
    pub(crate) fn new(has_store: bool) -> Self {
        Self {
            is_done: AtomicBool::new(!has_store),
            is_late: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
            reserved: AtomicU64::new(0),
            reserve_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }
}

impl Stack {
    /// Takes over a tenant's stored sequence and epochs, once. Waits for the store at its first
    /// call, and fails at once while the store is late. Survives its caller.
    pub(crate) async fn restore(self: &Arc<Self>, tenant: &Arc<TenantState>) -> Result<()> {
        let Some(store) = self.epochs() else { return Ok(()) };
        if tenant.restoring.is_done() {
            return Ok(());
        }
        if tenant.restoring.is_late.load(Ordering::Acquire) {
            return Err(self.not_known());
        }
        let (stack, store, tenant) = (Arc::clone(self), Arc::clone(store), Arc::clone(tenant));
        let task = self.runtime.spawn(async move { stack.restore_first(store, tenant).await });
        joined(task.await)
    }

    async fn restore_first(
        self: Arc<Self>,
        store: Arc<dyn EpochStore>,
        tenant: Arc<TenantState>,
    ) -> Result<()> {
        let _turn = tenant.restoring.turn.lock().await;
        if tenant.restoring.is_done() {
            return Ok(());
        }
        if tenant.restoring.is_late.load(Ordering::Acquire) {
            return Err(self.not_known());
        }
        let taken = self.take_over(&*store, &tenant).await;
        if let Err(error) = &taken {
            self.epochs_failed("load", error);
            tenant.restoring.is_late.store(true, Ordering::Release);
            let late = restore_late(Arc::downgrade(&self), Arc::downgrade(&tenant));
            self.runtime.spawn(late);
        }
        taken
    }

    async fn take_over(&self, store: &dyn EpochStore, tenant: &TenantState) -> Result<()> {
        let newest = tenant.epochs.sequence().newest();
        let record = in_time(store.load(&self.manager, &tenant.name, newest)).await?;
        // One step: a number taken before it is seen here, one taken after it is above the record.
        let has_taken = tenant.epochs.sequence().observe_store(record.sequence);
        tenant.restoring.reserved.fetch_max(record.sequence.0, Ordering::AcqRel);
        if has_taken {
            let above = tenant.epochs.sequence().newest();
            let whole = [EpochTarget::Tenant];
            let at = in_time(store.raise(&self.manager, &tenant.name, &whole, above)).await?;
            tenant.epochs.raise(&EpochTarget::Tenant, at);
        }
        if self.has_bus() {
            self.distrust_before_start(record.sequence);
        }
        tenant.epochs.restore(&record);
        tenant.marks.learn(record.mark);
        tenant.restoring.is_done.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes sure that numbers up to `version` are never given again after a restart, and says
    /// whether that is so. A store that did not answer is not waited for again before
    /// [`EPOCHS_RETRY`] has passed.
    pub(crate) async fn reserve(&self, tenant: &TenantState, version: Sequence) -> bool {
        let Some(store) = self.epochs().filter(|store| !store.is_shared()) else { return true };
        let restoring = &tenant.restoring;
        let now = self.clock.now();
        if version.0 <= restoring.reserved.load(Ordering::Acquire) {
            return true;
        }
        if !restoring.is_done() || now < restoring.reserve_at.load(Ordering::Acquire) {
            return mutant::breaks("a number that was not reserved stays above");
        }
        let upto = Sequence(version.0.saturating_add(RESERVE_STEP));
        match in_time(store.reserve(&self.manager, &tenant.name, upto)).await {
            Ok(()) => {
                restoring.reserved.fetch_max(upto.0, Ordering::AcqRel);
                true
            }
            Err(error) => {
                let again = now.saturating_add(saturating_millis(EPOCHS_RETRY));
                restoring.reserve_at.store(again, Ordering::Release);
                self.epochs_failed("reserve", &error);
                mutant::breaks("a number that was not reserved stays above")
            }
        }
    }

    /// As [`reserve`](Self::reserve), for jobs that are to be written.
    pub(super) async fn reserve_for<'a>(
        &self,
        tenant: &TenantState,
        jobs: impl Iterator<Item = &'a mut Job>,
    ) -> Result<()> {
        let jobs: Vec<_> = jobs.collect();
        let newest = jobs.iter().map(|job| job.version).max().unwrap_or_default();
        if self.reserve(tenant, newest).await {
            return Ok(());
        }
        jobs.into_iter().for_each(|job| job.is_reserved = false);
        Err(unreserved())
    }

    /// Stores epochs where they outlive the process; `None` when no tier keeps them.
    pub(crate) async fn raise(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        targets: &[EpochTarget],
    ) -> Result<Option<Sequence>> {
        let Some(store) = self.epochs() else { return Ok(None) };
        if mutant::breaks("an epoch is stored before it is acknowledged") {
            return Ok(None);
        }
        let raised = match self.restore(tenant).await {
            Ok(()) => self.raise_now(&**store, tenant, targets).await,
            Err(error) => Err(error),
        };
        if raised.is_err() {
            if targets.contains(&EpochTarget::Everything) {
                self.everything.owe();
            }
            if tenant.marks.owe_groups(targets) {
                self.tell_store_later(tenant);
            }
        }
        raised.map(Some)
    }

    /// Raises and ends again what the store did not number; answers whether nothing is owed now.
    pub(super) async fn tell_owed(&self, tenant: &Arc<TenantState>) -> bool {
        let Some(store) = self.epochs() else { return true };
        let due = tenant.marks.due_groups();
        if !due.is_empty() {
            let targets: Vec<_> = due.iter().map(|due| due.target.clone()).collect();
            let times = self.everything.times();
            let Ok(at) = self.raise_now(&**store, tenant, &targets).await else { return false };
            if targets.contains(&EpochTarget::Everything) {
                self.everything.settle(times);
            }
            targets.iter().for_each(|target| tenant.epochs.raise(target, at));
            // What the bus does not take stays in its line.
            let raised = targets.into_iter().map(|target| (at, Change::Raised(target)));
            let _ = self.tell(tenant, raised.collect()).await;
            tenant.marks.settle_groups(&due);
        }
        let has_number = self.end_unnumbered(tenant).await;
        has_number && !tenant.marks.owes_groups() && !self.unnumbered.owes_of(tenant.id)
    }

    /// Asks the store again for what it did not take or give, until nothing is owed.
    pub(super) fn tell_store_later(self: &Arc<Self>, tenant: &Arc<TenantState>) {
        self.runtime.spawn(tell_late(Arc::downgrade(self), Arc::downgrade(tenant)));
    }

    async fn raise_now(
        &self,
        store: &dyn EpochStore,
        tenant: &TenantState,
        targets: &[EpochTarget],
    ) -> Result<Sequence> {
        let above = tenant.epochs.sequence().newest();
        let raised = in_time(store.raise(&self.manager, &tenant.name, targets, above)).await;
        raised.inspect_err(|error| self.epochs_failed("raise", error))
    }

    pub(super) fn epochs_failed(&self, operation: &'static str, error: &Error) {
        let tier = EPOCHS.to_owned();
        tracing::warn!(operation, error = %error, "the epoch store failed");
        self.observer.on_event(&Event::TierFailed { tier, operation, kind: error.kind() });
    }
}

/// What the epoch store is called in events.
const EPOCHS: &str = "epochs";

/// Asks for a late record until it is there, or the manager is gone.
async fn restore_late(stack: Weak<Stack>, tenant: Weak<TenantState>) {
    loop {
        tokio::time::sleep(EPOCHS_RETRY).await;
        let (Some(stack), Some(tenant)) = (stack.upgrade(), tenant.upgrade()) else { return };
        let Some(store) = stack.epochs() else { return };
        if stack.take_over(&**store, &tenant).await.is_ok() {
            stack.observer.on_event(&Event::TierRecovered { tier: EPOCHS.to_owned() });
            return;
        }
    }
}

/// Raises and ends again what the store did not number, until it does or the manager is gone.
async fn tell_late(stack: Weak<Stack>, tenant: Weak<TenantState>) {
    loop {
        tokio::time::sleep(EPOCHS_RETRY).await;
        let (Some(stack), Some(tenant)) = (stack.upgrade(), tenant.upgrade()) else { return };
        if !tenant.restoring.is_done() {
            continue;
        }
        if stack.tell_owed(&tenant).await {
            return;
        }
    }
}

pub(super) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(EPOCHS_TIMEOUT, work).await;
    done.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "the epoch store did not answer")))
}

pub(super) fn unreserved() -> Error {
    let text = "the store of epochs reserved no number for what is written: it stays in level 1";
    Error::new(ErrorKind::Unavailable, text)
}
