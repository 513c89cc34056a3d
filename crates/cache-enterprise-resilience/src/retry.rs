//! Trying again, seldom.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, KeyPrefix, OpContext, Put, PutOutcome, Result, ScanPage,
    Sequence, StoredKey, Swapped,
};
use tokio::time::Instant;

use crate::RetryBudget;

/// How failed calls are tried again. A clone shares the budget, so that one may cover several
/// backends.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_resilience::RetryConfig;
///
/// let config = RetryConfig { attempts: 3, within: ms(500), ..RetryConfig::default() };
/// assert_eq!(config.delay, ms(5));
/// ```
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// How often a failed call is tried again; 0 never. Default 1.
    pub attempts: u32,
    /// Wait before the first further attempt. It doubles with each, and each wait has up to its
    /// own length added at random. Default 5 ms.
    pub delay: Duration,
    /// The wait before the random part grows no further than this. Default 100 ms.
    pub delay_max: Duration,
    /// Time from the start of a call within which a further attempt may start and must end, when
    /// the call brings no deadline of its own. Default 250 ms.
    pub within: Duration,
    /// What retries are paid from; one bucket for several backends bounds what they retry
    /// together. `None` is a bucket of its own, [`RetryBudget::default`]; the engine then gives
    /// the one of the manager. Default `None`.
    pub budget: Option<Arc<RetryBudget>>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 1,
            delay: Duration::from_millis(5),
            delay_max: Duration::from_millis(100),
            within: Duration::from_millis(250),
            budget: None,
        }
    }
}

/// A backend whose calls are tried again after a transient error.
///
/// A further attempt starts only when all of this holds: the error is
/// [transient](cache_enterprise_core::Error::is_transient), the operation may be repeated,
/// attempts are left, the wait ends before the call's deadline, and the [`RetryBudget`] has a token. Otherwise the
/// last error is the answer. The deadline is [`OpContext::timeout`] counted from the start of the
/// call, else [`RetryConfig::within`]; a further attempt is told what remains of it. The first
/// attempt gets the caller's context as it is.
///
/// Repeated is what a late repeat can cost a miss at worst: `get`, `get_many`, `scan`, `remove`,
/// `remove_many`, `touch`, and, on a backend with [`Capabilities::fence`], `put` and `put_many`.
/// A put without a fence is not repeated, because its first attempt may have arrived and a repeat
/// could bury a newer value. `swap`, `clear_prefix`, `health` and `close` are asked once: a swap
/// that went through unheard would find its own value. After a retry, `remove` may say that nothing
/// was there because the first attempt removed it.
///
/// A success costs one atomic load more than the bare backend, and where it may be repeated a
/// reading of the clock; `put` on a fenced backend also a clone of the bytes' handle.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::Backend;
/// use cache_enterprise_resilience::{Retry, RetryConfig};
///
/// # fn wrap(disk: Arc<dyn Backend>) -> Retry {
/// Retry::new(disk, RetryConfig::default())
/// # }
/// ```
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Backend>,
    config: RetryConfig,
    budget: Arc<RetryBudget>,
}

impl Retry {
    /// Repeats failed calls of `inner`.
    pub fn new(inner: Arc<dyn Backend>, config: RetryConfig) -> Self {
        let budget = config.budget.clone().unwrap_or_default();
        Self { inner, config, budget }
    }

    /// What retries are paid from.
    pub fn budget(&self) -> &Arc<RetryBudget> {
        &self.budget
    }

    /// Runs `call` until it succeeds or trying again is out of the question.
    async fn repeated<T, F>(&self, ctx: &OpContext, call: impl Fn(OpContext) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        let deadline = ctx.timeout.unwrap_or(self.config.within);
        // Made at the first error: a success need not draw a seed for its jitter.
        let mut delays = None;
        let mut ctx = *ctx;
        loop {
            let error = match self.once(call(ctx)).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => error,
            };
            let delays = delays.get_or_insert_with(|| self.delays());
            let Some(delay) = delays.next() else { return Err(error) };
            let next_start = started.elapsed().saturating_add(delay);
            if next_start >= deadline {
                return Err(error);
            }
            // Taken before the wait, so that no more wait than can be paid; a caller that goes away
            // meanwhile takes nothing along.
            let Some(token) = self.budget.take() else { return Err(error) };
            tokio::time::sleep(delay).await;
            token.spend();
            ctx.timeout = Some(deadline.saturating_sub(started.elapsed()));
        }
    }

    /// Awaits `call`; a success earns its part of a token.
    async fn once<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        call.await.inspect(|_| self.budget.earn())
    }

    /// Whether a late repeat of a put is refused when something newer stands under the key.
    fn is_fenced(&self) -> bool {
        self.inner.capabilities().fence
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.config.delay)
            .with_max_delay(self.config.delay_max)
            .with_max_times(self.config.attempts as usize)
            .with_jitter()
            .build()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for Retry {
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
        self.repeated(ctx, |ctx| async move { self.inner.get(key, &ctx).await }).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.repeated(ctx, |ctx| async move { self.inner.get_many(keys, &ctx).await }).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        if !self.is_fenced() {
            return self.once(self.inner.put(key, value, how, ctx)).await;
        }
        let value = &value;
        let put = |ctx| async move { self.inner.put(key, value.clone(), how, &ctx).await };
        self.repeated(ctx, put).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        if !self.is_fenced() {
            return self.once(self.inner.put_many(items, ctx)).await;
        }
        let items = &items;
        let put = |ctx| async move { self.inner.put_many(items.clone(), &ctx).await };
        self.repeated(ctx, put).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.repeated(ctx, |ctx| async move { self.inner.remove(key, at, &ctx).await }).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.repeated(ctx, |ctx| async move { self.inner.remove_many(keys, at, &ctx).await }).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        // Repeated, a swap that went through unheard would find its own value and say `Changed`.
        self.once(self.inner.swap(key, value, how, expected, ctx)).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.repeated(ctx, |ctx| async move { self.inner.touch(key, ttl, &ctx).await }).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let from = &from;
        let page = |_| async move { self.inner.scan(prefix, from.clone(), limit).await };
        self.repeated(&OpContext::default(), page).await
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
