//! The plainest backend that keeps the whole contract.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Dates, Error, ErrorKind, KeyPrefix, Millis,
    OpContext, Put, PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped, mutant,
    unsupported,
};
use parking_lot::Mutex;

/// A map behind a mutex that offers every capability: what a backend must do, with nothing that
/// makes it quick or small. It evicts nothing and keeps a fence for every key it ever saw.
///
/// Tests use it as a tier whose every answer is known, and as the other side of a comparison.
///
/// ```
/// use cache_enterprise_core::{Backend, Clock, KeySpace, OpContext, Put};
/// use cache_enterprise_testkit::ModelBackend;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let tier = ModelBackend::new(Clock::manual());
/// let key = KeySpace::new("shop", "acme", "users")?.key(&1_u8)?;
/// let ctx = OpContext::default();
/// tier.put(&key, "Ada".into(), Put::default(), &ctx).await?;
/// assert_eq!(tier.get(&key, &ctx).await?, Some("Ada".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ModelBackend {
    clock: Clock,
    capabilities: Capabilities,
    slots: Arc<Mutex<BTreeMap<StoredKey, Slot>>>,
    is_closed: AtomicBool,
}

/// What stands under a key: a value, or only the fence that a removal left.
#[derive(Default)]
struct Slot {
    fence: Sequence,
    value: Option<Bytes>,
    /// First millisecond at which the value is gone.
    expires: Millis,
}

impl Slot {
    fn live(&self, now: Millis) -> Option<&Bytes> {
        self.value.as_ref().filter(|_| now < self.expires)
    }
}

impl ModelBackend {
    /// A backend with every capability and no limit on values; `clock` ends its entries.
    pub fn new(clock: Clock) -> Self {
        let capabilities = Capabilities {
            expiry: true,
            fence: true,
            touch: true,
            swap: true,
            scan: true,
            clear_prefix: true,
            durable: true,
            shared: false,
            value_bytes_max: None,
        };
        Self { clock, capabilities, slots: Arc::default(), is_closed: AtomicBool::new(false) }
    }

    /// Claims only these capabilities; the others are refused or ignored as the contract says.
    #[must_use]
    pub fn claiming(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// A new backend over the same entries, as after a restart over the same directory.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            capabilities: self.capabilities,
            slots: Arc::clone(&self.slots),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Number of values that can be read now.
    pub fn len(&self) -> usize {
        let now = self.clock.now();
        self.slots.lock().values().filter(|slot| slot.live(now).is_some()).count()
    }

    /// Whether no value can be read now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            let error = Error::new(ErrorKind::Closed, "the backend was closed");
            return Err(error.operation(operation).with("backend", self.name()));
        }
        Ok(())
    }

    fn expires(&self, ttl: Option<Duration>) -> Millis {
        let ttl = ttl.filter(|_| self.capabilities.expiry);
        Dates::lasting(self.clock.now(), ttl).expires
    }
}

/// Counts the values; shows none.
impl fmt::Debug for ModelBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelBackend")
            .field("capabilities", &self.capabilities)
            .field("values", &self.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for ModelBackend {
    fn name(&self) -> &str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.check_open("get")?;
        let slots = self.slots.lock();
        Ok(slots.get(key).and_then(|slot| slot.live(self.clock.now())).cloned())
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.check_open("put")?;
        let is_too_large =
            self.capabilities.value_bytes_max.is_some_and(|limit| value.len() > limit);
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.clone()).or_default();
        if self.capabilities.fence
            && how.version < slot.fence
            && !mutant::breaks("a tier refuses what is older than a removal")
        {
            return Ok(PutOutcome::Fenced);
        }
        if is_too_large {
            *slot = Slot { fence: how.version, ..Slot::default() };
            return Ok(PutOutcome::Refused);
        }
        let expires = self.expires(how.ttl);
        *slot = Slot { fence: how.version, value: Some(value), expires };
        Ok(PutOutcome::Stored)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, _: &OpContext) -> Result<bool> {
        self.check_open("remove")?;
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.clone()).or_default();
        let was_there = slot.live(self.clock.now()).is_some();
        *slot = Slot { fence: slot.fence.max(at), ..Slot::default() };
        Ok(was_there)
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        _: &OpContext,
    ) -> Result<Swapped> {
        if !self.capabilities.swap {
            return Err(unsupported(self.name(), "swap"));
        }
        self.check_open("swap")?;
        if self.capabilities.value_bytes_max.is_some_and(|limit| value.len() > limit) {
            return Ok(Swapped::Refused);
        }
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.clone()).or_default();
        let found = slot.live(self.clock.now()).map_or(Sequence::ZERO, |_| slot.fence);
        if found != expected {
            return Ok(Swapped::Changed(found));
        }
        if self.capabilities.fence && how.version < slot.fence {
            return Ok(Swapped::Fenced);
        }
        let expires = self.expires(how.ttl);
        *slot = Slot { fence: how.version, value: Some(value), expires };
        Ok(Swapped::Stored)
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, _: &OpContext) -> Result<bool> {
        if !self.capabilities.touch {
            return Err(unsupported(self.name(), "touch"));
        }
        self.check_open("touch")?;
        let expires = self.expires(Some(ttl));
        let mut slots = self.slots.lock();
        match slots.get_mut(key).filter(|slot| slot.live(self.clock.now()).is_some()) {
            Some(slot) => {
                slot.expires = expires;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        if !self.capabilities.scan {
            return Err(unsupported(self.name(), "scan"));
        }
        self.check_open("scan")?;
        let last = from.as_deref().map(std::str::from_utf8);
        let last = last.transpose().ok().and_then(|text| text.map(StoredKey::parse));
        let after = match last {
            None if from.is_none() => Bound::Unbounded,
            Some(Some(key)) => Bound::Excluded(key),
            None | Some(None) => return Err(Error::invalid("the cursor is not one of this scan")),
        };
        let now = self.clock.now();
        let slots = self.slots.lock();
        let mut found = slots
            .range((after, Bound::Unbounded))
            .filter(|(key, slot)| prefix.contains(key) && slot.live(now).is_some())
            .map(|(key, _)| key);
        let keys: Vec<_> = found.by_ref().take(limit).cloned().collect();
        let is_last = found.next().is_none();
        let cursor = keys.last().map(|key| Bytes::copy_from_slice(key.as_str().as_bytes()));
        Ok(ScanPage { keys, next: cursor.filter(|_| !is_last) })
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        if !self.capabilities.clear_prefix {
            return Err(unsupported(self.name(), "clear_prefix"));
        }
        self.check_open("clear_prefix")?;
        self.slots.lock().retain(|key, _| !prefix.contains(key));
        Ok(())
    }

    async fn health(&self) -> BackendHealth {
        match self.check_open("health") {
            Ok(()) => BackendHealth::Up,
            Err(closed) => BackendHealth::Down(closed.to_string()),
        }
    }

    async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        Ok(())
    }
}
