//! A second attempt at a read that takes too long.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, KeyPrefix, OpContext, Put, PutOutcome, Result, ScanPage,
    Sequence, StoredKey, Swapped,
};
use futures_util::future::{Either, select};
use tokio::time::Instant;

use crate::budget::RetryBudget;
use crate::latency::Latencies;

/// Second attempts that may be owed at once, when none was needed for a while.
const BURST: u32 = 10;

/// When the second attempt starts.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_resilience::HedgeDelay;
///
/// let fixed = HedgeDelay::Fixed(ms(20));
/// assert_ne!(fixed, HedgeDelay::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeDelay {
    /// After this time.
    Fixed(Duration),
    /// After the time that this share of recent reads took at most, within bounds; after `max`
    /// while fewer than a hundred reads are known.
    Quantile {
        /// Share of reads, between 0 and 1.
        quantile: f64,
        /// Never sooner.
        min: Duration,
        /// Never later.
        max: Duration,
    },
}

impl Default for HedgeDelay {
    /// The 95 % quantile, between 1 ms and 100 ms.
    fn default() -> Self {
        let (min, max) = (Duration::from_millis(1), Duration::from_millis(100));
        Self::Quantile { quantile: 0.95, min, max }
    }
}

/// When a read is attempted a second time, and how often that may happen.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_resilience::{HedgeConfig, HedgeDelay};
///
/// let hasty = HedgeConfig { delay: HedgeDelay::Fixed(ms(5)), ..HedgeConfig::default() };
/// assert_eq!(hasty.share_percent, 5);
/// ```
#[derive(Clone, Debug)]
pub struct HedgeConfig {
    /// When the second attempt starts. Default: the 95 % quantile of recent reads.
    pub delay: HedgeDelay,
    /// Of a hundred reads that were answered, so many may have had a second attempt, in the long
    /// run. Default 5.
    pub share_percent: u32,
    /// A second attempt is also paid from here, as a retry is, so that both together are bounded
    /// while a backend is in trouble. Whoever retries earns for it; a hedge does not. `None` asks
    /// nobody; the engine then lends the manager's. Default `None`.
    pub budget: Option<Arc<RetryBudget>>,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self { delay: HedgeDelay::default(), share_percent: 5, budget: None }
    }
}

/// A backend whose slow reads are attempted a second time; the first answer wins and the other
/// attempt is dropped.
///
/// Only `get` and `get_many` are, since a read changes nothing, and only where the backend is
/// [shared](Capabilities::shared): a second read of a local one would wait for the same disk. A
/// first attempt that fails before the second started is the answer; trying again is
/// [`Retry`](crate::Retry)'s part. When one of two fails, the other one's answer counts.
///
/// It helps against one slow reply, not against a slow server: both attempts ask the same node.
/// The second gets what is left of [`OpContext::timeout`].
///
/// A read costs two readings of the clock, one timer registration if it does not answer at once,
/// and a count.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::Backend;
/// use cache_enterprise_resilience::{Hedge, HedgeConfig};
///
/// # fn wrap(redis: Arc<dyn Backend>) {
/// let hedge = Hedge::new(redis, HedgeConfig::default());
/// assert_eq!((hedge.started(), hedge.won()), (0, 0));
/// # }
/// ```
#[derive(Debug)]
pub struct Hedge {
    inner: Arc<dyn Backend>,
    config: HedgeConfig,
    /// What the share of second attempts is paid from.
    share: RetryBudget,
    latencies: Latencies,
    started: AtomicU64,
    won: AtomicU64,
}

impl Hedge {
    /// Attempts slow reads of `inner` a second time.
    pub fn new(inner: Arc<dyn Backend>, config: HedgeConfig) -> Self {
        let share = RetryBudget::new(BURST, config.share_percent);
        let latencies = Latencies::new(match config.delay {
            HedgeDelay::Fixed(_) => 1.0,
            HedgeDelay::Quantile { quantile, .. } => quantile,
        });
        let (started, won) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, config, share, latencies, started, won }
    }

    /// Second attempts so far.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Second attempts that gave the answer.
    pub fn won(&self) -> u64 {
        self.won.load(Ordering::Relaxed)
    }

    /// How long a read takes now before it is attempted a second time.
    pub fn delay(&self) -> Duration {
        match self.config.delay {
            HedgeDelay::Fixed(delay) => delay,
            HedgeDelay::Quantile { min, max, .. } => {
                self.latencies.quantile().map_or(max, |known| known.max(min).min(max))
            }
        }
    }

    async fn hedged<T, F>(&self, ctx: &OpContext, read: impl Fn(OpContext) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        if !self.inner.capabilities().shared {
            return read(*ctx).await;
        }
        let began = Instant::now();
        let answer = self.raced(ctx, began, read).await;
        if answer.is_ok() {
            self.share.earn();
            if let HedgeDelay::Quantile { .. } = self.config.delay {
                self.latencies.note(began.elapsed());
            }
        }
        answer
    }

    async fn raced<T, F>(
        &self,
        ctx: &OpContext,
        began: Instant,
        read: impl Fn(OpContext) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut first = pin!(read(*ctx));
        if let Ok(answer) = tokio::time::timeout(self.delay(), first.as_mut()).await {
            return answer;
        }
        if !self.is_paid() {
            return first.await;
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        let left = ctx.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let second = pin!(read(OpContext { timeout: left }));
        match select(first, second).await {
            Either::Left((Ok(answer), _)) => Ok(answer),
            Either::Left((Err(error), second)) => self.second_won(second.await).map_err(|_| error),
            Either::Right((Ok(answer), _)) => self.second_won(Ok(answer)),
            Either::Right((Err(_), first)) => first.await,
        }
    }

    fn is_paid(&self) -> bool {
        let Some(share) = self.share.take() else { return false };
        let is_paid = self.config.budget.as_ref().is_none_or(|budget| budget.spend());
        if is_paid {
            share.spend();
        }
        is_paid
    }

    fn second_won<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect(|_| _ = self.won.fetch_add(1, Ordering::Relaxed))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for Hedge {
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
        self.hedged(ctx, |ctx| async move { self.inner.get(key, &ctx).await }).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.hedged(ctx, |ctx| async move { self.inner.get_many(keys, &ctx).await }).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.inner.put(key, value, how, ctx).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.inner.put_many(items, ctx).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.inner.remove(key, at, ctx).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
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
        self.inner.swap(key, value, how, expected, ctx).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.inner.touch(key, ttl, ctx).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.inner.scan(prefix, from, limit).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.inner.clear_prefix(prefix).await
    }

    async fn health(&self) -> BackendHealth {
        self.inner.health().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
