//! What level 1 keeps typed entries in.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use equivalent::Equivalent;

use crate::{Entry, GIB, KIB, MIB, Merit, Millis, Scoped};

/// How much a level may hold. Bytes and entries are different constructors, so that a number of
/// the one is never taken for the other.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB};
///
/// assert_ne!(Capacity::bytes(64 * MIB), Capacity::entries(64 * MIB));
/// assert_eq!(Capacity::bytes(64 * MIB).to_string(), "64 MiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Bytes of keys, values and overhead.
    Bytes(u64),
    /// Entries, whatever their size.
    Entries(u64),
}

impl Capacity {
    /// At most this many bytes of keys, values and overhead.
    pub const fn bytes(bytes: u64) -> Self {
        Self::Bytes(bytes)
    }

    /// At most this many entries.
    pub const fn entries(entries: u64) -> Self {
        Self::Entries(entries)
    }

    /// The number, whatever it counts.
    pub const fn limit(self) -> u64 {
        match self {
            Self::Bytes(limit) | Self::Entries(limit) => limit,
        }
    }

    /// Whether a store of this capacity may hold an entry of this weight: of bytes, one entry takes
    /// no more than a quarter. A heavier one is [`SetOutcome::Refused`], whatever could leave.
    ///
    /// ```
    /// use cache_enterprise_core::Capacity;
    ///
    /// assert!(Capacity::bytes(400).admits(100) && !Capacity::bytes(400).admits(101));
    /// assert!(Capacity::entries(1).admits(1) && !Capacity::entries(0).admits(1));
    /// ```
    pub const fn admits(self, weight: u64) -> bool {
        match self {
            Self::Bytes(limit) => weight <= limit / 4,
            Self::Entries(limit) => weight <= limit,
        }
    }
}

/// Bytes in the largest binary unit that divides them, such as `64 MiB`; or `10000 entries`.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(entries) => write!(f, "{entries} entries"),
            Self::Bytes(bytes) => {
                let units = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];
                let fits = |(_, unit): &(&str, u64)| *bytes > 0 && bytes.is_multiple_of(*unit);
                match units.into_iter().find(fits) {
                    Some((name, unit)) => write!(f, "{} {name}", bytes / unit),
                    None => write!(f, "{bytes} bytes"),
                }
            }
        }
    }
}

/// Why an entry left level 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// It made room for another.
    Evicted,
    /// Its life ended.
    Expired,
    /// A new value took its key.
    Replaced,
    /// Its key was removed.
    Removed,
    /// A tag, cache, tenant or everything it belongs to was invalidated.
    Invalidated,
}

/// What became of a value that was set or loaded.
///
/// ```
/// use cache_enterprise_core::SetOutcome;
///
/// fn is_readable(outcome: SetOutcome) -> bool {
///     matches!(outcome, SetOutcome::Stored | SetOutcome::StoredAbove)
/// }
/// assert!(is_readable(SetOutcome::Stored) && !is_readable(SetOutcome::Fenced));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetOutcome {
    /// Readable at once in level 1 and, when asked, below.
    Stored,
    /// Level 1 did not take it: it is heavier than a quarter of the capacity, pinned entries fill
    /// the store, or its eviction policy finds the others worth more. Nothing older is left under
    /// the key.
    Refused,
    /// A removal or a newer value came first. It is not stored, and nothing older is left below.
    Fenced,
    /// In level 1, but not at every level below: one failed, which was reported as an event, or the
    /// key or the value is too large for it.
    StoredAbove,
    /// The options cannot be used (a tag is empty or too long); nothing was changed.
    Invalid,
    /// A strategy of the cache decided that the value is not stored. Nothing older is left under
    /// the key.
    Declined,
}

/// Numbers of one store, read while others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entries held.
    pub entries: u64,
    /// Their weight in the unit of the capacity.
    pub weight: u64,
    /// The capacity in its unit.
    pub capacity: u64,
    /// Entries evicted to make room, ever.
    pub evictions: u64,
    /// Entries that ended by age or idleness, ever.
    pub expirations: u64,
    /// Entries that were not taken, ever.
    pub refusals: u64,
}

/// A store of typed entries. The engine calls it from `read` on every hit, from `write` under the
/// lock of the key's flight shard, and from the ticker.
///
/// Contract:
/// * `get` allocates nothing, takes no precise clock and does no maintenance.
/// * `insert` is synchronous: after [`SetOutcome::Stored`], `get` finds the entry until it leaves;
///   after [`SetOutcome::Refused`] it finds nothing under that key.
/// * An entry's weight is read from the entry, never computed again; the sum of weights is exact
///   and zero after `clear`.
/// * What leaves is handed out in `leaving`, to be dropped and told to listeners off every lock.
/// * The store does not judge freshness on `get`; `turn` drops what has expired.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_core::{Dates, Entry, LocalStore, Scoped, ScopedRef, Sequence, SetOutcome};
///
/// fn put_and_find(store: &impl LocalStore<String, u64>) -> Option<u64> {
///     let entry = Arc::new(Entry::new(7, Sequence(1), 0, Dates::lasting(0, None)).with_weight(1));
///     let mut leaving = Default::default();
///     let key = Scoped { tenant: 0, key: String::from("users") };
///     match store.insert(key, entry, &mut leaving) {
///         SetOutcome::Stored => {
///             Some(*store.get(&ScopedRef { tenant: 0, key: "users" })?.value())
///         }
///         _ => None,
///     }
/// }
/// ```
pub trait LocalStore<K, V>: Send + Sync + 'static {
    /// Entries on their way out. Drop it after the locks around the call are released.
    type Leaving: Default;

    /// The entry under `key`; counts as a use for the eviction policy.
    fn get<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>>;

    /// The entry under `key`, without effect on the policy.
    fn peek<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>>;

    /// Puts an entry under `key` and makes room for it.
    fn insert(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Self::Leaving,
    ) -> SetOutcome;

    /// As [`insert`](Self::insert), with what speaks for keeping the entry. A store whose policy
    /// looks at use alone has no ear for it.
    fn insert_with(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        leaving: &mut Self::Leaving,
    ) -> SetOutcome {
        let _ = merit;
        self.insert(key, entry, leaving)
    }

    /// Takes the entry out from under `key`.
    fn remove<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        key: &Q,
        cause: RemovalCause,
        leaving: &mut Self::Leaving,
    ) -> Option<Arc<Entry<V>>>;

    /// Drops every entry that `keep` does not want. One shard's lock at a time.
    fn retain(
        &self,
        keep: impl Fn(&Scoped<K>, &Arc<Entry<V>>) -> bool,
        cause: RemovalCause,
        leaving: &mut Self::Leaving,
    );

    /// Calls `visit` with every entry, in no order, a shard at a time.
    fn for_each(&self, visit: impl FnMut(&Scoped<K>, &Arc<Entry<V>>));

    /// Drops entries whose life has ended at `now`; bounded work per call.
    fn turn(&self, now: Millis, leaving: &mut Self::Leaving);

    /// Changes the capacity, evicting down to it.
    fn resize(&self, capacity: u64, leaving: &mut Self::Leaving);

    /// The numbers now.
    fn stats(&self) -> StoreStats;
}
