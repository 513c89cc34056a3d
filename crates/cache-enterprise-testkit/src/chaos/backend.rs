//! A backend whose faults are switched at run time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome,
    Result, ScanPage, Sequence, StoredKey, Swapped,
};
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;

use super::counts::Counts;
use super::{Fault, Mode, Operation};
use crate::Seed;
use crate::switch::Switch;

/// Wraps any backend and spoils its calls in the way that [`set`](Self::set) says, from the next
/// call on. Randomness is seeded: the same calls in the same order get the same faults.
///
/// Every method is spoiled alike, `close` included. Only `health` answers at once in every mode,
/// because a backend bounds that question itself. Calls, faults and bytes are counted.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext, Put};
/// use cache_enterprise_testkit::chaos::{ChaosBackend, Fault, Mode, Operation};
/// use cache_enterprise_testkit::{ModelBackend, Seed};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let tier = ChaosBackend::new(Arc::new(ModelBackend::new(Clock::manual())), Seed(7));
/// let key = KeySpace::new("shop", "acme", "users")?.key(&1_u8)?;
/// let ctx = OpContext::default();
/// tier.put(&key, "Ada".into(), Put::default(), &ctx).await?;
///
/// tier.set(Mode::Fail(ErrorKind::Unavailable));
/// assert!(tier.get(&key, &ctx).await.is_err());
/// tier.set(Mode::Healthy);
/// assert_eq!(tier.get(&key, &ctx).await?, Some("Ada".into()));
/// assert_eq!((tier.calls(Operation::Get), tier.faults(Fault::Failed)), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ChaosBackend {
    inner: Arc<dyn Backend>,
    mode: Switch<Mode>,
    rng: Mutex<StdRng>,
    counts: Counts,
}

impl ChaosBackend {
    /// Wraps `inner`; healthy until a mode is set.
    pub fn new(inner: Arc<dyn Backend>, seed: Seed) -> Self {
        let mode = Switch::new(Mode::Healthy);
        Self { inner, mode, rng: Mutex::new(seed.rng()), counts: Counts::default() }
    }

    /// Changes what happens to calls. Calls that hang go on in the new mode.
    pub fn set(&self, mode: Mode) {
        self.mode.set(mode);
    }

    /// What happens to calls now.
    pub fn mode(&self) -> Mode {
        self.mode.get()
    }

    /// Calls of one operation so far, spoiled ones included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.counts.calls(operation)
    }

    /// Calls of all operations so far.
    pub fn all_calls(&self) -> u64 {
        self.counts.all_calls()
    }

    /// Faults of one sort so far.
    pub fn faults(&self, fault: Fault) -> u64 {
        self.counts.faults(fault)
    }

    /// Faults of all sorts so far.
    pub fn all_faults(&self) -> u64 {
        self.counts.all_faults()
    }

    /// Bytes of values that calls read so far.
    pub fn bytes_read(&self) -> u64 {
        self.counts.read.load(Ordering::Relaxed)
    }

    /// Bytes of values that calls handed to the backend so far.
    pub fn bytes_written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Counts the call and lets it pass, late or never, as the mode says.
    async fn pass(&self, operation: Operation) -> Result<()> {
        self.counts.called(operation);
        let mut has_hung = false;
        loop {
            let switched = self.mode.switched();
            match self.mode() {
                Mode::Healthy | Mode::Corrupt => return Ok(()),
                Mode::Fail(kind) => return Err(self.failure(kind, operation)),
                Mode::FailShare(share) if self.is_hit(share) => {
                    return Err(self.failure(ErrorKind::Unavailable, operation));
                }
                Mode::FailShare(_) => return Ok(()),
                Mode::Slow(delay) => {
                    self.counts.suffered(Fault::Slowed);
                    tokio::time::sleep(delay).await;
                    return Ok(());
                }
                Mode::Hang => {
                    if !has_hung {
                        self.counts.suffered(Fault::Hung);
                    }
                    has_hung = true;
                    switched.await;
                }
            }
        }
    }

    fn is_hit(&self, share: f64) -> bool {
        self.rng.lock().random_bool(share.clamp(0.0, 1.0))
    }

    fn failure(&self, kind: ErrorKind, operation: Operation) -> Error {
        self.counts.suffered(Fault::Failed);
        let error = Error::new(kind, "the backend fails on purpose");
        error.operation(operation.name()).with("backend", self.name())
    }

    /// The value as the caller reads it: spoiled in [`Mode::Corrupt`], counted always.
    fn read(&self, value: Option<Bytes>) -> Option<Bytes> {
        let value = value?;
        self.counts.read.fetch_add(value.len() as u64, Ordering::Relaxed);
        if self.mode() != Mode::Corrupt || value.is_empty() {
            return Some(value);
        }
        let mut spoiled = BytesMut::from(&value[..]);
        let mut rng = self.rng.lock();
        let at = rng.random_range(0..spoiled.len());
        spoiled[at] ^= 1 << rng.random_range(0..8);
        self.counts.suffered(Fault::Corrupted);
        Some(spoiled.freeze())
    }

    fn written(&self, value: &Bytes) {
        self.counts.written.fetch_add(value.len() as u64, Ordering::Relaxed);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for ChaosBackend {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn node(&self, key: &StoredKey) -> u32 {
        self.inner.node(key)
    }

    fn nodes(&self) -> u32 {
        self.inner.nodes()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.pass(Operation::Get).await?;
        Ok(self.read(self.inner.get(key, ctx).await?))
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.pass(Operation::GetMany).await?;
        let found = self.inner.get_many(keys, ctx).await?;
        Ok(found.into_iter().map(|value| self.read(value)).collect())
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.pass(Operation::Put).await?;
        self.written(&value);
        self.inner.put(key, value, how, ctx).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.pass(Operation::PutMany).await?;
        items.iter().for_each(|(_, value, _)| self.written(value));
        self.inner.put_many(items, ctx).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.pass(Operation::Remove).await?;
        self.inner.remove(key, at, ctx).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.pass(Operation::RemoveMany).await?;
        self.inner.remove_many(keys, at, ctx).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.pass(Operation::Swap).await?;
        self.written(&value);
        self.inner.swap(key, value, how, expected, ctx).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.pass(Operation::Touch).await?;
        self.inner.touch(key, ttl, ctx).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.pass(Operation::Scan).await?;
        self.inner.scan(prefix, from, limit).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.pass(Operation::ClearPrefix).await?;
        self.inner.clear_prefix(prefix).await
    }

    async fn health(&self) -> BackendHealth {
        self.counts.called(Operation::Health);
        match self.mode() {
            Mode::Healthy => self.inner.health().await,
            Mode::Fail(kind) => BackendHealth::Down(format!("fails on purpose: {kind:?}")),
            Mode::Hang => BackendHealth::Down(String::from("hangs on purpose")),
            mode => BackendHealth::Degraded(format!("disturbed on purpose: {mode:?}")),
        }
    }

    async fn close(&self) -> Result<()> {
        self.pass(Operation::Close).await?;
        self.inner.close().await
    }
}
