//! A store of epochs in memory that several managers share.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Clock, Error, ErrorKind, Result};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;

use super::records::Records;
use crate::Seed;
use crate::chaos::Mode;
use crate::switch::Switch;

/// One process's client of a store of epochs within this process. Cloning shares the client;
/// [`another`](Self::another) gives that of another process of the same store.
///
/// Its numbers are above the clock's wall time in microseconds. A record that was lost comes back
/// at a floor above every number that was ever given, as the contract of a shared store asks.
///
/// ```
/// use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
/// use cache_enterprise_testkit::coherence::SharedEpochs;
/// use cache_enterprise_testkit::Clock;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let epochs = SharedEpochs::new(Clock::manual());
/// let other = epochs.another();
/// let before = epochs.load("shop", "acme", Sequence::ZERO).await?.mark;
/// other.raise("shop", "acme", &[EpochTarget::Tenant], Sequence::ZERO).await?;
/// assert_ne!(epochs.mark("shop", "acme").await?, before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedEpochs {
    clock: Clock,
    managers: Arc<Mutex<HashMap<String, Records>>>,
    rng: Arc<Mutex<StdRng>>,
    client: Arc<Client>,
}

/// What belongs to one process.
#[derive(Debug, Default)]
struct Client {
    mode: Switch<Mode>,
    calls: Mutex<EpochCalls>,
}

/// Calls of one process to its store of epochs, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochCalls {
    /// Records that were loaded, whole or what changed in them.
    pub load: u64,
    /// Invalidations of groups.
    pub raise: u64,
    /// Numbers for keys.
    pub next: u64,
    /// Looks at the state of a record.
    pub mark: u64,
}

impl SharedEpochs {
    /// An empty store whose time is this clock's.
    pub fn new(clock: Clock) -> Self {
        Self::seeded(clock, Seed(0))
    }

    /// An empty store that draws the calls that fail in [`Mode::FailShare`] from this seed.
    pub fn seeded(clock: Clock, seed: Seed) -> Self {
        let rng = Arc::new(Mutex::new(seed.rng()));
        Self { clock, managers: Arc::default(), rng, client: Arc::default() }
    }

    /// The client of another process.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { client: Arc::default(), ..self.clone() }
    }

    /// Spoils the calls of this client from now on. [`Mode::Corrupt`] spoils nothing here.
    pub fn set(&self, mode: Mode) {
        self.client.mode.set(mode);
    }

    /// The calls of this client so far.
    pub fn calls(&self) -> EpochCalls {
        *self.client.calls.lock()
    }

    /// Deletes the record of a tenant, as somebody's hand or an eviction would.
    pub fn lose(&self, manager: &str, tenant: &str) {
        self.with(manager, |records, _| records.lose(tenant));
    }

    /// Deletes every record of a manager. Its counter goes on, as one that starts at the time of a
    /// server does.
    pub fn lose_all(&self, manager: &str) {
        self.with(manager, |records, _| records.lose_all());
    }

    /// Sets the counter of a manager back, as a replica that was behind would, with nobody the
    /// wiser. The next numbers are below earlier ones unless their callers have seen those, or the
    /// clock has passed them.
    pub fn set_back(&self, manager: &str, to: Sequence) {
        self.with(manager, |records, _| records.counter = to);
    }

    fn with<T>(&self, manager: &str, change: impl FnOnce(&mut Records, Sequence) -> T) -> T {
        let time = Sequence::from_wall_ms(self.clock.wall_ms());
        let mut managers = self.managers.lock();
        let records =
            managers.entry(manager.to_owned()).or_insert_with(|| Records::starting_at(time));
        change(records, time)
    }

    /// Counts a call and lets it pass, late or never, as the mode says.
    async fn pass(&self, count: impl FnOnce(&mut EpochCalls) -> &mut u64) -> Result<()> {
        *count(&mut self.client.calls.lock()) += 1;
        match self.client.mode.wait_for(|mode| !matches!(mode, Mode::Hang)).await {
            Mode::Fail(kind) => Err(failure(kind)),
            Mode::FailShare(share) if self.rng.lock().random_bool(share.clamp(0.0, 1.0)) => {
                Err(failure(ErrorKind::Unavailable))
            }
            Mode::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Mode::Healthy | Mode::Corrupt | Mode::Hang | Mode::FailShare(_) => Ok(()),
        }
    }
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "the store of epochs fails on purpose").with("backend", "shared-epochs")
}

#[async_trait]
impl EpochStore for SharedEpochs {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        self.since(manager, tenant, EpochMark::default(), newest).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        self.pass(|calls| &mut calls.raise).await?;
        Ok(self.with(manager, |records, time| {
            let at = records.take(above, time);
            records.raise(tenant, targets, at);
            at
        }))
    }

    async fn reserve(&self, manager: &str, _: &str, upto: Sequence) -> Result<()> {
        self.with(manager, |records, _| records.counter = records.counter.max(upto));
        Ok(())
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn next(&self, manager: &str, _: &str, above: Sequence) -> Result<Sequence> {
        self.pass(|calls| &mut calls.next).await?;
        Ok(self.with(manager, |records, time| records.take(above, time)))
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        self.pass(|calls| &mut calls.mark).await?;
        Ok(self.with(manager, |records, time| match records.mark(tenant) {
            Some(mark) => mark,
            None => {
                let at = records.take(Sequence::ZERO, time);
                records.since(tenant, EpochMark::default(), at).mark
            }
        }))
    }

    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        self.pass(|calls| &mut calls.load).await?;
        Ok(self.with(manager, |records, time| {
            let at = records.take(newest, time);
            records.since(tenant, mark, at)
        }))
    }
}
