//! Bytes in memory behind core's `Backend`.
//!
//! Every write of a key takes the lock of its stripe, so that the fence is checked and the value
//! put in one step. A removal leaves its sequence behind in the stripe, and so does a value that was
//! too heavy; when a stripe has too many of them the oldest fold into a floor below which every put
//! is fenced: an older value never returns, at the price of refusing a late one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Capacity, Clock, Dates, Entry, Error, ErrorKind,
    Freshness, KeyPrefix, LocalStore, Millis, OpContext, Put, PutOutcome, RemovalCause, Result,
    ScanPage, Scoped, ScopedRef, Sequence, SetOutcome, StoreStats, StoredKey, Swapped,
};

use crate::{Leaving, MemoryStore, StoreConfig, entry_overhead};

const STRIPES: usize = 16;

/// Removals a stripe remembers one by one.
const REMOVALS_MAX: usize = 4_096;

/// Milliseconds between two turns of the expiry wheel, taken by whoever puts.
const TURN_MS: u64 = 64;

/// A tier that keeps bytes in this process's memory.
///
/// It honours lives to the millisecond, fences, touches, scans and clears; it is neither durable
/// nor shared. A value heavier than a quarter of the capacity is refused. No call waits for
/// anything but a lock; `scan` and `clear_prefix` pass over all keys.
///
/// ```
/// use cache_enterprise_core::{Backend, Capacity, KeySpace, MIB, OpContext, Put};
/// use cache_enterprise_memory::MemoryBackend;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let tier = MemoryBackend::new(Capacity::bytes(64 * MIB));
/// let key = KeySpace::new("shop", "", "users")?.key(&7_u8)?;
/// tier.put(&key, "Ada".into(), Put::default(), &OpContext::default()).await?;
/// assert_eq!(tier.get(&key, &OpContext::default()).await?, Some("Ada".into()));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// # }).expect("memory does not fail");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct MemoryBackend {
    store: MemoryStore<String, Bytes>,
    clock: Clock,
    stripes: [Mutex<Fences>; STRIPES],
    turned: AtomicU64,
    is_closed: AtomicBool,
}

/// Removals of one stripe.
#[derive(Debug, Default)]
struct Fences {
    removed: HashMap<StoredKey, Sequence>,
    order: VecDeque<StoredKey>,
    floor: Sequence,
}

impl MemoryBackend {
    /// An empty tier that follows the machine's clock.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            store: MemoryStore::new(StoreConfig::new(capacity)),
            clock: Clock::system(),
            stripes: Default::default(),
            turned: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Ends lives by this clock. Default: a system clock of its own.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The numbers now.
    pub fn stats(&self) -> StoreStats {
        self.store.stats()
    }

    pub(crate) fn get_now(&self, key: &StoredKey) -> Result<Option<Bytes>> {
        let now = self.clock.tick();
        let entry = self.store.get(&scoped(key));
        // After the look, so that what a close took away is never told as a miss.
        self.check_open("get")?;
        let entry = entry.filter(|entry| entry.freshness(now) == Freshness::Fresh);
        Ok(entry.map(|entry| entry.value().clone()))
    }

    pub(crate) fn put_now(&self, key: &StoredKey, value: Bytes, how: Put) -> Result<PutOutcome> {
        let now = self.clock.tick();
        let mut leaving = Leaving::default();
        let mut fences = self.stripe(key).lock();
        self.check_open("put")?;
        let standing = self.live(key, now).map_or(Sequence::ZERO, |entry| entry.version());
        if how.version < standing.max(fences.of(key)) {
            return Ok(PutOutcome::Fenced);
        }
        let dates = Dates::lasting(now, how.ttl);
        let outcome = self.insert(key, entry_of(key, value, how.version, dates), &mut leaving);
        if outcome != SetOutcome::Stored {
            // What is older may be on its way: nothing stands there to keep it out.
            fences.raise(key, how.version);
        }
        drop(fences);
        self.turn(now, &mut leaving);
        Ok(match outcome {
            SetOutcome::Stored => PutOutcome::Stored,
            _ => PutOutcome::Refused,
        })
    }

    fn swap_now(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
    ) -> Result<Swapped> {
        let now = self.clock.tick();
        let mut leaving = Leaving::default();
        let fences = self.stripe(key).lock();
        self.check_open("swap")?;
        let standing = self.live(key, now).map_or(Sequence::ZERO, |entry| entry.version());
        if standing != expected {
            return Ok(Swapped::Changed(standing));
        }
        if how.version < standing.max(fences.of(key)) {
            return Ok(Swapped::Fenced);
        }
        let entry = entry_of(key, value, how.version, Dates::lasting(now, how.ttl));
        if self.store.is_too_heavy(&entry) {
            // Before the insertion, which would take the expected value away.
            return Ok(Swapped::Refused);
        }
        let outcome = self.insert(key, entry, &mut leaving);
        drop(fences);
        self.turn(now, &mut leaving);
        Ok(match outcome {
            SetOutcome::Stored => Swapped::Stored,
            _ => Swapped::Refused,
        })
    }

    pub(crate) fn remove_now(&self, key: &StoredKey, at: Sequence) -> Result<bool> {
        let now = self.clock.tick();
        let mut leaving = Leaving::default();
        let mut fences = self.stripe(key).lock();
        self.check_open("remove")?;
        let removed = self.store.remove(&scoped(key), RemovalCause::Removed, &mut leaving);
        // What stood there goes, were it newer; what is older than it stays out as before.
        let standing = removed.as_ref().map_or(Sequence::ZERO, |entry| entry.version());
        fences.raise(key, at.max(standing));
        drop(fences);
        Ok(removed.is_some_and(|entry| entry.freshness(now) == Freshness::Fresh))
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.tick()
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if !self.is_closed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Closed, "the memory tier was closed").operation(operation))
    }

    fn stripe(&self, key: &StoredKey) -> &Mutex<Fences> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.stripes[hash as usize % STRIPES]
    }

    /// The entry under `key` if its life has not ended.
    fn live(&self, key: &StoredKey, now: u64) -> Option<Arc<Entry<Bytes>>> {
        let entry = self.store.peek(&scoped(key))?;
        (entry.freshness(now) == Freshness::Fresh).then_some(entry)
    }

    fn insert(
        &self,
        key: &StoredKey,
        entry: Entry<Bytes>,
        leaving: &mut Leaving<String, Bytes>,
    ) -> SetOutcome {
        let key = Scoped { tenant: 0, key: key.as_str().to_owned() };
        self.store.insert(key, Arc::new(entry), leaving)
    }

    /// Gives the memory of ended entries back, now and then.
    fn turn(&self, now: u64, leaving: &mut Leaving<String, Bytes>) {
        let turned = self.turned.load(Ordering::Relaxed);
        if now >= turned + TURN_MS {
            self.turned.store(now, Ordering::Relaxed);
            self.store.turn(now, leaving);
        }
    }
}

fn entry_of(key: &StoredKey, value: Bytes, version: Sequence, dates: Dates) -> Entry<Bytes> {
    let weight = entry_overhead::<String>() + size_of::<Bytes>() + key.len() + value.len();
    Entry::new(value, version, 0, dates).with_weight(weight)
}

fn scoped(key: &StoredKey) -> ScopedRef<'_, str> {
    ScopedRef { tenant: 0, key: key.as_str() }
}

impl Fences {
    /// The sequence below which a put under `key` is refused.
    fn of(&self, key: &StoredKey) -> Sequence {
        self.removed.get(key).copied().unwrap_or_default().max(self.floor)
    }

    fn raise(&mut self, key: &StoredKey, at: Sequence) {
        if at <= self.of(key) {
            return;
        }
        if self.removed.insert(key.clone(), at).is_none() {
            self.order.push_back(key.clone());
        }
        if self.removed.len() > REMOVALS_MAX
            && let Some(oldest) = self.order.pop_front()
            && let Some(at) = self.removed.remove(&oldest)
        {
            self.floor = self.floor.max(at);
        }
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            expiry: true,
            fence: true,
            touch: true,
            swap: true,
            scan: true,
            clear_prefix: true,
            ..Capabilities::default()
        }
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.get_now(key)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.put_now(key, value, how)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, _: &OpContext) -> Result<bool> {
        self.remove_now(key, at)
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        _: &OpContext,
    ) -> Result<Swapped> {
        self.swap_now(key, value, how, expected)
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, _: &OpContext) -> Result<bool> {
        let now = self.clock.tick();
        let mut leaving = Leaving::default();
        let fences = self.stripe(key).lock();
        self.check_open("touch")?;
        let Some(entry) = self.live(key, now) else { return Ok(false) };
        let dates = Dates::lasting(now, Some(ttl));
        let entry = entry_of(key, entry.value().clone(), entry.version(), dates);
        self.insert(key, entry, &mut leaving);
        drop(fences);
        Ok(true)
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.check_open("scan")?;
        let now = self.clock.tick();
        // Pages go by the order of the keys, and the cursor is the last key given: a key that
        // stays is listed whatever comes and goes around it.
        let after = from.unwrap_or_default();
        let mut keys: Vec<String> = self
            .store
            .iter()
            .filter(|(key, entry)| {
                key.key.starts_with(prefix.as_str())
                    && key.key.as_bytes() > &after[..]
                    && entry.freshness(now) == Freshness::Fresh
            })
            .map(|(key, _)| key.key)
            .collect();
        keys.sort_unstable();
        let is_last = keys.len() <= limit.max(1);
        keys.truncate(limit.max(1));
        let next = keys.last().filter(|_| !is_last).map(|key| Bytes::from(key.clone()));
        Ok(ScanPage { keys: keys.iter().filter_map(|key| StoredKey::parse(key)).collect(), next })
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.check_open("clear_prefix")?;
        let keep = |key: &Scoped<String>, _: &_| !key.key.starts_with(prefix.as_str());
        self.store.retain(keep, RemovalCause::Invalidated, &mut Leaving::default());
        Ok(())
    }

    async fn health(&self) -> BackendHealth {
        match self.check_open("health") {
            Ok(()) => BackendHealth::Up,
            Err(_) => BackendHealth::Down(String::from("closed")),
        }
    }

    async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        self.store.retain(|_, _| false, RemovalCause::Removed, &mut Leaving::default());
        Ok(())
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
