//! A bound on how many calls a backend holds at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome,
    Result, ScanPage, Sequence, StoredKey, Swapped,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How many calls a backend may hold and how many may wait for their turn.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_resilience::BulkheadConfig;
///
/// let strict = BulkheadConfig { queue_max: 0, ..BulkheadConfig::default() };
/// assert_eq!((strict.calls_max, strict.wait_max), (256, ms(50)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    /// Calls that may be under way; zero is read as one. A batch is one call. Default 256.
    pub calls_max: usize,
    /// Calls that may wait for a place; 0 turns away at once. Default 1024.
    pub queue_max: usize,
    /// Longest a call waits for its place, within its own deadline. Default 50 ms.
    pub wait_max: Duration,
}

impl Default for BulkheadConfig {
    fn default() -> Self {
        Self { calls_max: 256, queue_max: 1024, wait_max: Duration::from_millis(50) }
    }
}

/// A backend that holds a bounded number of calls, so that one that became slow ties up no more
/// tasks and memory than that.
///
/// A call takes a place until it ends or is dropped. When all are taken it waits, first come
/// first served, behind at most [`BulkheadConfig::queue_max`] others and for at most
/// [`BulkheadConfig::wait_max`]; then it answers [`ErrorKind::Overloaded`], a transient error, and
/// the backend was not asked. What a call waited is taken from its [`OpContext::timeout`].
///
/// `health` and `close` need no place: whoever watches or shuts down is not in the queue.
///
/// A call that finds a place costs two atomic updates.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::Backend;
/// use cache_enterprise_resilience::{Bulkhead, BulkheadConfig};
///
/// # fn wrap(redis: Arc<dyn Backend>) {
/// let bulkhead = Bulkhead::new(redis, BulkheadConfig { calls_max: 64, ..Default::default() });
/// assert_eq!((bulkhead.running(), bulkhead.waiting(), bulkhead.refused()), (0, 0, 0));
/// # }
/// ```
#[derive(Debug)]
pub struct Bulkhead {
    inner: Arc<dyn Backend>,
    config: BulkheadConfig,
    places: Semaphore,
    waiting: AtomicUsize,
    refused: AtomicU64,
}

impl Bulkhead {
    /// Bounds the calls that `inner` holds.
    pub fn new(inner: Arc<dyn Backend>, config: BulkheadConfig) -> Self {
        let calls_max = config.calls_max.clamp(1, Semaphore::MAX_PERMITS);
        let config = BulkheadConfig { calls_max, ..config };
        let places = Semaphore::new(calls_max);
        Self { inner, config, places, waiting: AtomicUsize::new(0), refused: AtomicU64::new(0) }
    }

    /// Calls under way.
    pub fn running(&self) -> usize {
        self.config.calls_max - self.places.available_permits()
    }

    /// Calls that wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Calls turned away so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Runs `call` in a place of its own, with what is left of the caller's time.
    async fn placed<T, F>(
        &self,
        operation: &'static str,
        ctx: &OpContext,
        call: impl FnOnce(OpContext) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        if let Ok(_place) = self.places.try_acquire() {
            return call(*ctx).await;
        }
        let began = Instant::now();
        let _place = self.wait(operation, ctx).await?;
        let waited = began.elapsed();
        call(OpContext { timeout: ctx.timeout.map(|time| time.saturating_sub(waited)) }).await
    }

    /// Waits in the queue for a place.
    async fn wait(&self, operation: &'static str, ctx: &OpContext) -> Result<SemaphorePermit<'_>> {
        let Some(_seat) = Seat::take(&self.waiting, self.config.queue_max) else {
            return Err(self.refusal(operation, "the queue for the backend is full"));
        };
        let wait_max =
            ctx.timeout.map_or(self.config.wait_max, |asked| asked.min(self.config.wait_max));
        match tokio::time::timeout(wait_max, self.places.acquire()).await {
            Ok(place) => Ok(place.expect("the semaphore lives in self and is never closed")),
            Err(_) => Err(self.refusal(operation, "no place at the backend became free in time")),
        }
    }

    fn refusal(&self, operation: &'static str, why: &'static str) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Error::new(ErrorKind::Overloaded, why)
            .operation(operation)
            .with("backend", self.inner.name())
            .with("calls_max", self.config.calls_max)
    }
}

/// A place in the queue, given back when dropped.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let sit = |seats: usize| (seats < most).then_some(seats + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sit).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for Bulkhead {
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
        self.placed("get", ctx, |ctx| async move { self.inner.get(key, &ctx).await }).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let get = |ctx| async move { self.inner.get_many(keys, &ctx).await };
        self.placed("get_many", ctx, get).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let put = |ctx| async move { self.inner.put(key, value, how, &ctx).await };
        self.placed("put", ctx, put).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let put = |ctx| async move { self.inner.put_many(items, &ctx).await };
        self.placed("put_many", ctx, put).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        let remove = |ctx| async move { self.inner.remove(key, at, &ctx).await };
        self.placed("remove", ctx, remove).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let remove = |ctx| async move { self.inner.remove_many(keys, at, &ctx).await };
        self.placed("remove_many", ctx, remove).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let swap = |ctx| async move { self.inner.swap(key, value, how, expected, &ctx).await };
        self.placed("swap", ctx, swap).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let touch = |ctx| async move { self.inner.touch(key, ttl, &ctx).await };
        self.placed("touch", ctx, touch).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let page = |_| self.inner.scan(prefix, from, limit);
        self.placed("scan", &OpContext::default(), page).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let clear = |_| self.inner.clear_prefix(prefix);
        self.placed("clear_prefix", &OpContext::default(), clear).await
    }

    async fn health(&self) -> BackendHealth {
        self.inner.health().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
