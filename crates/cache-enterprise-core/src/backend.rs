//! What a tier stores bytes in.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, ErrorKind, KeyPrefix, Result, Sequence, StoredKey};

/// What a [`Backend`] can do, as plain data. What is not claimed answers
/// [`ErrorKind::Unsupported`]; it never pretends.
///
/// ```
/// use cache_enterprise_core::Capabilities;
///
/// let plain = Capabilities { expiry: true, ..Capabilities::default() };
/// assert!(plain.expiry && !plain.scan);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Honours [`Put::ttl`] by itself. Without it the envelope's date alone ends an entry.
    pub expiry: bool,
    /// Refuses a [`Put`] whose version is older than what was put or removed under that key.
    pub fence: bool,
    /// Can extend an entry's life without its bytes ([`Backend::touch`]).
    pub touch: bool,
    /// Can replace an entry only if nobody else did ([`Backend::swap`]).
    pub swap: bool,
    /// Can list keys ([`Backend::scan`]).
    pub scan: bool,
    /// Can drop all keys under a prefix ([`Backend::clear_prefix`]).
    pub clear_prefix: bool,
    /// Keeps its entries when the process ends.
    pub durable: bool,
    /// Is seen by several processes.
    pub shared: bool,
    /// Largest value in bytes, when there is a limit.
    pub value_bytes_max: Option<usize>,
}

/// How a value is put.
///
/// ```
/// use cache_enterprise_core::{Put, Sequence, secs};
///
/// let how = Put { ttl: Some(secs(60)), version: Sequence(7) };
/// assert_ne!(how, Put::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Life from now, rounded up to the millisecond; `None` keeps the value until it is removed or
    /// evicted. Zero is no life: the value is a miss at once, and what it replaces is gone.
    pub ttl: Option<Duration>,
    /// The sequence the value belongs to. A backend with [`Capabilities::fence`] refuses it when
    /// a newer value or removal stands under the key; others ignore it.
    pub version: Sequence,
}

/// What became of a [`Put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The value is readable now.
    Stored,
    /// Something newer stands under the key; nothing was changed, however large the value is.
    Fenced,
    /// The backend chose not to keep the value (too large for its budget); nothing older is left.
    /// With [`Capabilities::fence`] older versions are refused from then on, as if it stood there.
    Refused,
}

/// What became of a [`Backend::swap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The value is stored.
    Stored,
    /// Something else stands there: a value of this version, [`Sequence::ZERO`] for none.
    Changed(Sequence),
    /// What stands there is newer than the value: a removal, or the expected value itself. Nothing
    /// was changed.
    Fenced,
    /// The backend has no room for it; nothing was changed.
    Refused,
}

/// What every call to a backend carries.
///
/// ```
/// use cache_enterprise_core::{OpContext, ms};
///
/// assert_eq!(OpContext::default().timeout, None);
/// let hasty = OpContext { timeout: Some(ms(50)) };
/// # drop(hasty);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpContext {
    /// Time the caller is willing to wait; `None` leaves it to the backend's own limits.
    pub timeout: Option<Duration>,
}

/// One page of a [`Backend::scan`].
///
/// ```
/// use cache_enterprise_core::{Backend, KeyPrefix, Result};
///
/// async fn count(tier: &dyn Backend, prefix: &KeyPrefix) -> Result<usize> {
///     let (mut count, mut from) = (0, None);
///     loop {
///         let page = tier.scan(prefix, from, 1_000).await?;
///         count += page.keys.len();
///         from = page.next;
///         if from.is_none() {
///             return Ok(count);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    /// Keys of this page, in no promised order.
    pub keys: Vec<StoredKey>,
    /// Where to go on; `None` ends the scan.
    pub next: Option<Bytes>,
}

/// How a backend feels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendHealth {
    /// Answers as it should.
    Up,
    /// Works with limits; the text says which.
    Degraded(String),
    /// Does not answer; the text says why.
    Down(String),
}

/// A store of bytes below level 1. The engine calls it from one place (`tier`), from many tasks
/// at once, once per miss of the level above; never on a hit in level 1.
///
/// Contract:
/// * A miss is `Ok(None)`; a failure is an `Err`, never a miss.
/// * After `put` returned [`PutOutcome::Stored`], `get` gives those bytes until they expire, are
///   removed, replaced or evicted; after `remove` returned `Ok` it gives nothing older.
/// * An `Err` does not tell what became of a write: the key holds the old value, nothing, or the
///   new one, whole. Who needs the old one gone removes it.
/// * An expired value is a miss at the millisecond it expires, swept or not.
/// * A call may be dropped at any await point; the backend stays usable, and the key holds the
///   old or the new value, whole.
/// * Blocking work belongs on a thread that may block, never on the caller's.
/// * No value and no secret appears in an error.
///
/// `testkit::conformance::backend` checks it, but for what no test can see from outside: that work
/// which blocks has a thread of its own, and that who claims to be shared is. An implementation runs
/// that suite.
///
/// ```
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use cache_enterprise_core::*;
///
/// #[derive(Debug)]
/// struct Nowhere;
///
/// #[async_trait]
/// impl Backend for Nowhere {
///     fn name(&self) -> &str {
///         "nowhere"
///     }
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::default()
///     }
///     async fn get(&self, _: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
///         Ok(None)
///     }
///     async fn put(&self, _: &StoredKey, _: Bytes, _: Put, _: &OpContext) -> Result<PutOutcome> {
///         Ok(PutOutcome::Refused)
///     }
///     async fn remove(&self, _: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
///         Ok(false)
///     }
///     async fn close(&self) -> Result<()> {
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// A short name for errors, events and metrics, such as `disk`.
    fn name(&self) -> &str;

    /// What this backend can do; the same answer for its whole life.
    fn capabilities(&self) -> Capabilities;

    /// The part of the backend that serves `key` and fails by itself: a shard of a cluster, one
    /// server of several. Keys of one node share its fate, so a circuit breaker keeps a circuit
    /// each. The number is below [`nodes`](Self::nodes) and stays the key's while the topology
    /// stays, also when the node's master is replaced; after a change it may be another.
    ///
    /// Asked once or twice a key and call, before anything is sent: costs no more than a hash of
    /// the key and a look-up, never blocks. Default: one node, 0.
    fn node(&self, key: &StoredKey) -> u32 {
        let _ = key;
        0
    }

    /// How many nodes there are now, at least 1; it moves with the topology, so a number that
    /// [`node`](Self::node) gave a moment ago may have left the range. Costs a load. Default: 1.
    fn nodes(&self) -> u32 {
        1
    }

    /// The bytes under `key`.
    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>>;

    /// The bytes under each of `keys`, in their order. One round trip where the backend can; the
    /// default asks one by one. The first failure fails the call.
    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key, ctx).await?);
        }
        Ok(found)
    }

    /// Puts `value` under `key`, replacing what is there.
    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome>;

    /// Puts several values; an outcome each, in their order. The first failure fails the call,
    /// what was put before it stays.
    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let mut outcomes = Vec::with_capacity(items.len());
        for (key, value, how) in items {
            outcomes.push(self.put(&key, value, how, ctx).await?);
        }
        Ok(outcomes)
    }

    /// Removes `key`, whatever version stands there, and says whether something was there. With
    /// [`Capabilities::fence`], a later put with a version below `at` is refused, and one below that
    /// of the value that was there: the fence stands at the higher of both.
    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool>;

    /// Removes several keys and counts those that were there.
    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let mut removed = 0;
        for key in keys {
            removed += u64::from(self.remove(key, at, ctx).await?);
        }
        Ok(removed)
    }

    /// Puts `value` if what stands under `key` is of version `expected`, [`Sequence::ZERO`] for
    /// nothing, in one step. A removal that is remembered counts as nothing, and with
    /// [`Capabilities::fence`] refuses older versions all the same, as the expected value does. What
    /// stands there is compared first: another version is [`Swapped::Changed`], however old the
    /// value is.
    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let _ = (key, value, how, expected, ctx);
        Err(unsupported(self.name(), "swap"))
    }

    /// Gives the value under `key` a new life from now and says whether it was there.
    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let _ = (key, ttl, ctx);
        Err(unsupported(self.name(), "touch"))
    }

    /// Lists keys under a prefix, a page at a time: at most `limit` keys from where `from` left
    /// off. For administration; never part of a request.
    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let _ = (prefix, from, limit);
        Err(unsupported(self.name(), "scan"))
    }

    /// Drops every key under a prefix. For administration; invalidation uses epochs.
    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let _ = prefix;
        Err(unsupported(self.name(), "clear_prefix"))
    }

    /// Asks the backend how it feels; bounded in time by the backend.
    async fn health(&self) -> BackendHealth {
        BackendHealth::Up
    }

    /// Flushes and releases everything. Later calls answer [`ErrorKind::Closed`]; closing twice
    /// is no error. There is no default: one that closed nothing would pretend.
    async fn close(&self) -> Result<()>;
}

/// The answer of a backend to a call it did not claim.
///
/// ```
/// use cache_enterprise_core::{ErrorKind, unsupported};
///
/// let error = unsupported("map", "scan");
/// assert_eq!(error.kind(), ErrorKind::Unsupported);
/// assert_eq!(
///     error.to_string(),
///     "scan: the backend does not offer this operation (backend: map)"
/// );
/// ```
pub fn unsupported(backend: &str, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "the backend does not offer this operation")
        .operation(operation)
        .with("backend", backend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_backend_is_used_through_a_shared_pointer() {
        fn usable(_: Option<Arc<dyn Backend>>) {}
        usable(None);
    }
}
