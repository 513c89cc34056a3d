//! Memory in front of any backend, as one backend.
//!
//! The two never disagree: a write takes the key out of the front before it asks the back, and
//! again when it is done or dropped; a value enters the front only if no write of its stripe began,
//! ran or ended since it was read. A promotion that raced a removal therefore puts nothing.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, KeyPrefix, Millis, OpContext, Put, PutOutcome, Result,
    ScanPage, Sequence, StoredKey, Swapped, secs,
};

use crate::MemoryBackend;

const STRIPES: usize = 256;

/// Life in the front of a value whose own life is not known here: another process put it.
const UNKNOWN_LIFE: Duration = secs(1);

/// A [`MemoryBackend`] before another backend.
///
/// A value this process put is in the front at once, with its own life; one that the back alone
/// had is promoted when its stripe was asked often enough, and leaves the front after a second
/// where the back ends lives, since its own end is not known. Capabilities are those of the back.
/// A fence is the back's. Writes of other processes to a shared back are not seen by the front:
/// use it where one process writes, or where the reader checks versions.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Capacity, MIB};
/// use cache_enterprise_memory::{HybridBackend, MemoryBackend};
///
/// let back = Arc::new(MemoryBackend::new(Capacity::bytes(64 * MIB)));
/// let front = MemoryBackend::new(Capacity::bytes(8 * MIB));
/// let tier = HybridBackend::new(front, back).promote_after(2);
/// assert_eq!(tier.name(), "hybrid");
/// ```
pub struct HybridBackend {
    front: MemoryBackend,
    back: Arc<dyn Backend>,
    promote_after: u32,
    stripes: Box<[Mutex<Stripe>]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stripe {
    /// Writes under way.
    writing: u32,
    /// Moves when a write begins and when it ends.
    generation: u64,
    /// Reads that the back answered since the last promotion.
    reads: u32,
}

impl HybridBackend {
    /// Puts `front` before `back`.
    pub fn new(front: MemoryBackend, back: Arc<dyn Backend>) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { front, back, promote_after: 1, stripes }
    }

    /// Reads the back must have answered in a key's stripe before one is promoted. Default: 1.
    #[must_use]
    pub fn promote_after(mut self, reads: u32) -> Self {
        self.promote_after = reads.max(1);
        self
    }

    fn stripe(&self, key: &StoredKey) -> &Mutex<Stripe> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.stripes[hash as usize % STRIPES]
    }

    /// The generation a read begins at.
    fn generation(&self, key: &StoredKey) -> u64 {
        self.stripe(key).lock().generation
    }

    /// Promotes what the back gave, unless a write came between.
    fn promote(&self, key: &StoredKey, value: &Bytes, read_at: u64) {
        let mut stripe = self.stripe(key).lock();
        stripe.reads += 1;
        if stripe.reads < self.promote_after || stripe.writing > 0 || stripe.generation != read_at {
            return;
        }
        stripe.reads = 0;
        let ttl = self.back.capabilities().expiry.then_some(UNKNOWN_LIFE);
        // A front that is closed or full just does not take it.
        let _ = self.front.put_now(key, value.clone(), Put { ttl, version: Sequence::ZERO });
    }

    fn write(&self, key: &StoredKey) -> Writing<'_> {
        let mut stripe = self.stripe(key).lock();
        stripe.writing += 1;
        stripe.generation += 1;
        let _ = self.front.remove_now(key, Sequence::ZERO);
        let (generation, began) = (stripe.generation, self.front.now());
        Writing { hybrid: self, key: key.clone(), generation, began, value: None }
    }
}

/// A write under way. However it ends, the front no longer holds what was there before.
struct Writing<'a> {
    hybrid: &'a HybridBackend,
    key: StoredKey,
    generation: u64,
    /// Lives are counted from here in the front, so that they never end after those in the back.
    began: Millis,
    /// What the front may hold after it, if nobody else wrote.
    value: Option<(Bytes, Option<Duration>)>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let front = &self.hybrid.front;
        let mut stripe = self.hybrid.stripe(&self.key).lock();
        let is_alone = stripe.writing == 1 && stripe.generation == self.generation;
        stripe.writing -= 1;
        stripe.generation += 1;
        let _ = front.remove_now(&self.key, Sequence::ZERO);
        if let Some((value, ttl)) = self.value.take().filter(|_| is_alone) {
            let taken = Duration::from_millis(front.now().saturating_sub(self.began));
            let ttl = ttl.map(|ttl| ttl.saturating_sub(taken));
            let _ = front.put_now(&self.key, value, Put { ttl, version: Sequence::ZERO });
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for HybridBackend {
    fn name(&self) -> &str {
        "hybrid"
    }

    fn capabilities(&self) -> Capabilities {
        self.back.capabilities()
    }

    fn node(&self, key: &StoredKey) -> u32 {
        self.back.node(key)
    }

    fn nodes(&self) -> u32 {
        self.back.nodes()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        if let Some(value) = self.front.get_now(key)? {
            return Ok(Some(value));
        }
        let read_at = self.generation(key);
        let found = self.back.get(key, ctx).await?;
        if let Some(value) = &found {
            self.promote(key, value, read_at);
        }
        Ok(found)
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        let (mut missing, mut places) = (Vec::new(), Vec::new());
        for (place, key) in keys.iter().enumerate() {
            let value = self.front.get_now(key)?;
            if value.is_none() {
                missing.push(key.clone());
                places.push((place, self.generation(key)));
            }
            found.push(value);
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let from_back = self.back.get_many(&missing, ctx).await?;
        for ((key, (place, read_at)), value) in missing.iter().zip(places).zip(from_back) {
            if let Some(value) = &value {
                self.promote(key, value, read_at);
            }
            found[place] = value;
        }
        Ok(found)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let mut writing = self.write(key);
        let outcome = self.back.put(key, value.clone(), how, ctx).await?;
        if outcome == PutOutcome::Stored {
            writing.value = Some((value, how.ttl));
        }
        Ok(outcome)
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let kept: Vec<_> = items.iter().map(|(_, value, how)| (value.clone(), how.ttl)).collect();
        let mut writing: Vec<_> = items.iter().map(|(key, _, _)| self.write(key)).collect();
        let outcomes = self.back.put_many(items, ctx).await?;
        for ((writing, kept), outcome) in writing.iter_mut().zip(kept).zip(&outcomes) {
            writing.value = (*outcome == PutOutcome::Stored).then_some(kept);
        }
        Ok(outcomes)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        let _writing = self.write(key);
        self.back.remove(key, at, ctx).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let _writing: Vec<_> = keys.iter().map(|key| self.write(key)).collect();
        self.back.remove_many(keys, at, ctx).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let mut writing = self.write(key);
        let swapped = self.back.swap(key, value.clone(), how, expected, ctx).await?;
        if swapped == Swapped::Stored {
            writing.value = Some((value, how.ttl));
        }
        Ok(swapped)
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let held = self.front.get_now(key)?;
        let mut writing = self.write(key);
        // What was held may be older than a write that ended before this one began: ask again.
        let is_same = match (&held, self.back.touch(key, ttl, ctx).await?) {
            (_, false) => return Ok(false),
            (None, true) => None,
            (Some(_), true) => self.back.get(key, ctx).await?,
        };
        writing.value = is_same.map(|value| (value, Some(ttl)));
        Ok(true)
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.back.scan(prefix, from, limit).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let outcome = self.back.clear_prefix(prefix).await;
        // Reads that began before this moment promote nothing; what they promoted goes.
        for stripe in &self.stripes {
            stripe.lock().generation += 1;
        }
        self.front.clear_prefix(prefix).await?;
        outcome
    }

    async fn health(&self) -> BackendHealth {
        self.back.health().await
    }

    async fn close(&self) -> Result<()> {
        self.front.close().await?;
        self.back.close().await
    }
}

impl fmt::Debug for HybridBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridBackend")
            .field("front", &self.front)
            .field("back", &self.back)
            .field("promote_after", &self.promote_after)
            .finish_non_exhaustive()
    }
}
