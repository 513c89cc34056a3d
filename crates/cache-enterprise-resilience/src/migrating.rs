//! Two backends as one, while entries move from one to the other.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, KeyPrefix, OpContext, Put, PutOutcome, Result, ScanPage,
    Sequence, StoredKey, Swapped, unsupported,
};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

/// What begins a cursor of a scan, so that a page knows which backend it goes on with.
const IN_NEW: u8 = 0;
const IN_OLD: u8 = 1;

/// Keys of a batch that are asked about at a time, where a batch is taken apart.
const CALLS_MAX: usize = 32;

/// A tier on its way from an old backend to a new one: reads the new, then the old; writes and
/// removes in both. Nothing is served that one of them was told to forget.
///
/// It copies nothing by itself: entries move by being written again, and [`Migration`] moves the
/// rest beside it. Once [`report`](Self::report) says that the old one answers next to nothing,
/// [`cut_over`](Self::cut_over) leaves it out.
///
/// A call fails when either backend fails, since the one that answered may be the one that is
/// behind: the engine then takes what the tier holds of the key for a miss until it was told. Each
/// write costs both backends one after the other, a read the old one only where the new has
/// nothing. What the new one alone refuses is removed from the old one again, which may leave a
/// miss where a newer value was. Who is asked second gets what is left of [`OpContext::timeout`]. It
/// can do what both can; it does not swap.
///
/// [`Migration`]: crate::Migration
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::Backend;
/// use cache_enterprise_resilience::MigratingTier;
///
/// # async fn migrate(old: Arc<dyn Backend>, new: Arc<dyn Backend>) {
/// let tier = MigratingTier::new(old, new);
/// // The manager gets `tier.clone()` as a level; a job copies meanwhile. Then, later:
/// if tier.report().is_done() {
///     println!("{}", tier.cut_over());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct MigratingTier {
    old: Arc<dyn Backend>,
    new: Arc<dyn Backend>,
    capabilities: Capabilities,
    is_cut_over: AtomicBool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    from_new: AtomicU64,
    from_old: AtomicU64,
    missed: AtomicU64,
    writes: AtomicU64,
    failures: AtomicU64,
}

/// Who answered a [`MigratingTier`] since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutOverReport {
    /// Reads that the new backend answered.
    pub from_new: u64,
    /// Reads that only the old one could answer: they would have been misses without it.
    pub from_old: u64,
    /// Reads that neither answered.
    pub missed: u64,
    /// Puts and removals of a key.
    pub writes: u64,
    /// Calls that one of the two failed.
    pub failures: u64,
    /// Whether the old one is left out already.
    pub is_cut_over: bool,
}

impl CutOverReport {
    /// Whether there were reads, and the old backend answered at most one in a thousand.
    pub fn is_done(&self) -> bool {
        let reads = self.from_new + self.from_old + self.missed;
        reads > 0 && self.from_old.saturating_mul(1_000) <= reads
    }
}

impl std::fmt::Display for CutOverReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from_new, from_old, missed, writes, failures, is_cut_over } = self;
        write!(f, "reads answered by the new backend {from_new}, by the old {from_old}, ")?;
        write!(f, "by neither {missed}; writes {writes}, failures {failures}; ")?;
        f.write_str(if *is_cut_over { "cut over" } else { "both in use" })
    }
}

impl MigratingTier {
    /// A tier of both, to be given to a manager as one.
    pub fn new(old: Arc<dyn Backend>, new: Arc<dyn Backend>) -> Arc<Self> {
        let capabilities = of_both(old.capabilities(), new.capabilities());
        let (is_cut_over, counts) = (AtomicBool::new(false), Counts::default());
        Arc::new(Self { old, new, capabilities, is_cut_over, counts })
    }

    /// Who answered so far.
    pub fn report(&self) -> CutOverReport {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CutOverReport {
            from_new: of(&self.counts.from_new),
            from_old: of(&self.counts.from_old),
            missed: of(&self.counts.missed),
            writes: of(&self.counts.writes),
            failures: of(&self.counts.failures),
            is_cut_over: self.is_cut_over.load(Ordering::Acquire),
        }
    }

    /// Leaves the old backend out from now on, and tells how it went. It keeps what it holds, and
    /// is closed with this tier.
    pub fn cut_over(&self) -> CutOverReport {
        self.is_cut_over.store(true, Ordering::Release);
        self.report()
    }

    /// The old backend, while it takes part.
    fn old(&self) -> Option<&dyn Backend> {
        (!self.is_cut_over.load(Ordering::Acquire)).then_some(&*self.old)
    }

    fn noted<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|_| _ = self.counts.failures.fetch_add(1, Ordering::Relaxed))
    }

    fn note(&self, count: &AtomicU64, reads: usize) {
        count.fetch_add(reads as u64, Ordering::Relaxed);
    }

    async fn read_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let began = Instant::now();
        let mut found = self.new.get_many(keys, ctx).await?;
        let missing: Vec<usize> = (0..keys.len()).filter(|&at| found[at].is_none()).collect();
        self.note(&self.counts.from_new, keys.len() - missing.len());
        let Some(old) = self.old().filter(|_| !missing.is_empty()) else {
            self.note(&self.counts.missed, missing.len());
            return Ok(found);
        };
        let asked: Vec<_> = missing.iter().map(|&at| keys[at].clone()).collect();
        for (at, bytes) in missing.into_iter().zip(old.get_many(&asked, &left(ctx, began)).await?) {
            let count = if bytes.is_some() { &self.counts.from_old } else { &self.counts.missed };
            self.note(count, 1);
            found[at] = bytes;
        }
        Ok(found)
    }

    /// The old backend comes first: it remembers removals from before the new one was there.
    async fn write(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let Some(old) = self.old() else { return self.new.put(key, value, how, ctx).await };
        let began = Instant::now();
        let from_old = old.put(key, value.clone(), how, ctx).await?;
        // Also where the old one has something newer: that may be on its way to the new one yet,
        // whose elder would answer meanwhile.
        let from_new = self.new.put(key, value, how, &left(ctx, began)).await?;
        if is_removed_in_new(from_old, from_new) {
            old.remove(key, how.version, &left(ctx, began)).await?;
        }
        Ok(of_two(from_old, from_new))
    }

    /// As [`write`](Self::write), each backend asked once but for what is removed again.
    async fn write_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let Some(old) = self.old() else { return self.new.put_many(items, ctx).await };
        let began = Instant::now();
        let from_old = old.put_many(items.clone(), ctx).await?;
        let from_new = self.new.put_many(items.clone(), &left(ctx, began)).await?;
        let (ctx, mut removed) = (left(ctx, began), Vec::new());
        for ((key, _, how), told) in items.iter().zip(from_old.iter().zip(&from_new)) {
            if is_removed_in_new(*told.0, *told.1) {
                removed.push(old.remove(key, how.version, &ctx));
            }
        }
        count_all(removed).await?;
        Ok(from_old.into_iter().zip(from_new).map(|(old, new)| of_two(old, new)).collect())
    }

    /// Removes a key of a call that `began` then.
    async fn remove_one(
        &self,
        key: &StoredKey,
        at: Sequence,
        ctx: &OpContext,
        began: Instant,
    ) -> Result<bool> {
        let Some(old) = self.old() else { return self.new.remove(key, at, ctx).await };
        let from_old = old.remove(key, at, &left(ctx, began)).await;
        let from_new = self.new.remove(key, at, &left(ctx, began)).await;
        both(from_old, from_new, |old, new| old || new)
    }

    /// Which of the keys were in both is known key by key alone.
    async fn remove_each(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let began = Instant::now();
        let keys: HashSet<_> = keys.iter().collect();
        count_all(keys.into_iter().map(|key| self.remove_one(key, at, ctx, began)).collect()).await
    }
}

/// What both can do; what one of them makes of the whole, the whole is.
fn of_both(old: Capabilities, new: Capabilities) -> Capabilities {
    let smaller = |left: Option<usize>, right: Option<usize>| match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    };
    Capabilities {
        expiry: old.expiry && new.expiry,
        fence: old.fence && new.fence,
        touch: old.touch && new.touch,
        swap: false,
        scan: old.scan && new.scan,
        clear_prefix: old.clear_prefix && new.clear_prefix,
        durable: old.durable && new.durable,
        shared: old.shared || new.shared,
        value_bytes_max: smaller(old.value_bytes_max, new.value_bytes_max),
    }
}

/// Whether the new backend alone knows of a removal: it holds nothing that would hide the value.
fn is_removed_in_new(old: PutOutcome, new: PutOutcome) -> bool {
    new == PutOutcome::Fenced && old != PutOutcome::Fenced
}

/// The outcome of a put: one backend that keeps the value is enough, where the other has nothing
/// newer.
fn of_two(old: PutOutcome, new: PutOutcome) -> PutOutcome {
    match (old, new) {
        (PutOutcome::Fenced, _) | (_, PutOutcome::Fenced) => PutOutcome::Fenced,
        (PutOutcome::Refused, PutOutcome::Refused) => PutOutcome::Refused,
        _ => PutOutcome::Stored,
    }
}

/// The answer of two calls that both must have succeeded.
fn both<T>(old: Result<T>, new: Result<T>, join: impl FnOnce(T, T) -> T) -> Result<T> {
    Ok(join(old?, new?))
}

/// How many of `calls` say yes. All of them are made; then the first failure is the answer.
async fn count_all(calls: Vec<impl Future<Output = Result<bool>> + Send>) -> Result<u64> {
    let mut calls = stream::iter(calls).buffer_unordered(CALLS_MAX);
    let (mut count, mut failure) = (0, None);
    while let Some(answer) = calls.next().await {
        match answer {
            Ok(is_so) => count += u64::from(is_so),
            Err(error) => _ = failure.get_or_insert(error),
        }
    }
    failure.map_or(Ok(count), Err)
}

/// The context of a further call, with what is left of the caller's time.
fn left(ctx: &OpContext, began: Instant) -> OpContext {
    OpContext { timeout: ctx.timeout.map(|timeout| timeout.saturating_sub(began.elapsed())) }
}

fn cursor(which: u8, next: &[u8]) -> Bytes {
    [&[which], next].concat().into()
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for MigratingTier {
    fn name(&self) -> &str {
        self.new.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// One node: a key's two places fail together, and their numbers mean nothing to each other.
    fn node(&self, _: &StoredKey) -> u32 {
        0
    }

    fn nodes(&self) -> u32 {
        1
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        let found = self.read_many(std::slice::from_ref(key), ctx).await;
        self.noted(found).map(|mut found| found.pop().flatten())
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let found = self.read_many(keys, ctx).await;
        self.noted(found)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        let put = self.write(key, value, how, ctx).await;
        self.noted(put)
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.note(&self.counts.writes, items.len());
        let put = self.write_many(items, ctx).await;
        self.noted(put)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        let removed = self.remove_one(key, at, ctx, Instant::now()).await;
        self.noted(removed)
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.note(&self.counts.writes, keys.len());
        let removed = match self.old() {
            None => self.new.remove_many(keys, at, ctx).await,
            Some(_) => self.remove_each(keys, at, ctx).await,
        };
        self.noted(removed)
    }

    async fn swap(
        &self,
        _: &StoredKey,
        _: Bytes,
        _: Put,
        _: Sequence,
        _: &OpContext,
    ) -> Result<Swapped> {
        Err(unsupported(self.name(), "swap"))
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let touched = match self.old() {
            None => self.new.touch(key, ttl, ctx).await,
            Some(old) => {
                let began = Instant::now();
                let old = old.touch(key, ttl, ctx).await;
                let new = self.new.touch(key, ttl, &left(ctx, began)).await;
                both(old, new, |old, new| old || new)
            }
        };
        self.noted(touched)
    }

    /// Lists the new backend, then the old one: a key that both hold is listed twice.
    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let (which, from) = match from.as_deref() {
            None => (IN_NEW, None),
            Some([]) => (IN_NEW, None),
            Some([which]) => (*which, None),
            Some([which, rest @ ..]) => (*which, Some(Bytes::copy_from_slice(rest))),
        };
        let old = self.old();
        if which == IN_OLD {
            let Some(old) = old else { return Ok(ScanPage::default()) };
            let page = self.noted(old.scan(prefix, from, limit).await)?;
            return Ok(ScanPage { next: page.next.map(|next| cursor(IN_OLD, &next)), ..page });
        }
        let page = self.noted(self.new.scan(prefix, from, limit).await)?;
        let next = match page.next {
            Some(next) => Some(cursor(IN_NEW, &next)),
            None => old.map(|_| cursor(IN_OLD, &[])),
        };
        Ok(ScanPage { keys: page.keys, next })
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let cleared = match self.old() {
            None => self.new.clear_prefix(prefix).await,
            Some(old) => {
                let old = old.clear_prefix(prefix).await;
                both(old, self.new.clear_prefix(prefix).await, |(), ()| ())
            }
        };
        self.noted(cleared)
    }

    async fn health(&self) -> BackendHealth {
        let new = self.new.health().await;
        let Some(old) = self.old() else { return new };
        match (new, old.health().await) {
            (BackendHealth::Up, BackendHealth::Up) => BackendHealth::Up,
            (BackendHealth::Down(why), _) => BackendHealth::Down(why),
            (_, BackendHealth::Down(why)) => {
                BackendHealth::Down(format!("the backend it moves away from is down: {why}"))
            }
            (BackendHealth::Degraded(why), _) | (_, BackendHealth::Degraded(why)) => {
                BackendHealth::Degraded(why)
            }
        }
    }

    async fn close(&self) -> Result<()> {
        let old = self.old.close().await;
        both(old, self.new.close().await, |(), ()| ())
    }
}
