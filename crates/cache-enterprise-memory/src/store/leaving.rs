//! What leaves the store, and the hooks that see it leave.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{Clock, Counter, Entry, RemovalCause, Scoped};
use quick_cache::Lifecycle;

use super::ledger::Ledger;
use crate::listener::Teller;

/// Entries on their way out. Its values are dropped with it: keep it until the locks around the
/// call are released. Empty it holds no allocation, nor with up to two entries.
///
/// ```
/// let leaving = cache_enterprise_memory::Leaving::<String, Vec<u8>>::default();
/// assert!(leaving.is_empty());
/// ```
pub struct Leaving<K, V> {
    first: [Option<Gone<K, V>>; 2],
    more: Vec<Gone<K, V>>,
    /// Address of the entry that is being inserted, to tell a refusal.
    entering: usize,
    /// Address of the entry that the policy has just picked: what leaves unpicked was replaced.
    picked: usize,
    refused: bool,
}

type Gone<K, V> = (Scoped<K>, Arc<Entry<V>>);

impl<K, V> Leaving<K, V> {
    /// Whether nothing is on its way out.
    pub fn is_empty(&self) -> bool {
        self.first[0].is_none()
    }

    /// Number of entries on their way out.
    pub fn len(&self) -> usize {
        self.first.iter().flatten().count() + self.more.len()
    }

    /// Starts to watch for the refusal of `entry`.
    pub(crate) fn watch(&mut self, entry: &Arc<Entry<V>>) {
        self.entering = Arc::as_ptr(entry).addr();
        self.refused = false;
    }

    /// Whether the watched entry was not kept.
    pub(crate) fn end_watch(&mut self) -> bool {
        self.entering = 0;
        self.refused
    }

    pub(crate) fn hold(&mut self, key: Scoped<K>, entry: Arc<Entry<V>>) {
        match self.first.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some((key, entry)),
            None => self.more.push((key, entry)),
        }
    }
}

impl<K, V> Default for Leaving<K, V> {
    fn default() -> Self {
        Self { first: [None, None], more: Vec::new(), entering: 0, picked: 0, refused: false }
    }
}

impl<K, V> fmt::Debug for Leaving<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What hooks and store share.
pub(crate) struct Exit<K, V> {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Clock,
    pub(crate) teller: Option<Teller<K, V>>,
    pub(crate) evictions: Counter,
    pub(crate) expirations: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

impl<K, V> Exit<K, V> {
    /// Books the departure of an entry, and hands it to the listener's queue or to `leaving`.
    pub(crate) fn depart(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
        self.settle(&entry);
        match cause {
            RemovalCause::Evicted => self.evictions.add(1),
            RemovalCause::Expired => {
                self.expirations.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        let returned = match &self.teller {
            None => Some((key, entry)),
            Some(teller) => teller.tell(key, entry, cause, self.clock.now()),
        };
        if let Some((key, entry)) = returned {
            leaving.hold(key, entry);
        }
    }

    /// Counts an entry that was not taken. It was never in the cache, so no listener hears of it.
    pub(crate) fn refuse(&self, key: Scoped<K>, entry: Arc<Entry<V>>, leaving: &mut Leaving<K, V>) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        leaving.hold(key, entry);
    }

    fn settle(&self, entry: &Arc<Entry<V>>) {
        if self.ledger.is_special(entry) {
            self.ledger.leave(entry);
        }
    }
}

/// The hooks of quick_cache. They run under a shard's lock: count, book, and hand on.
pub(crate) struct Hooks<K, V>(pub(crate) Arc<Exit<K, V>>);

impl<K, V> Clone for Hooks<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Lifecycle<Scoped<K>, Arc<Entry<V>>> for Hooks<K, V> {
    type RequestState = Leaving<K, V>;

    #[inline]
    fn before_evict(&self, leaving: &mut Leaving<K, V>, _: &Scoped<K>, entry: &mut Arc<Entry<V>>) {
        leaving.picked = Arc::as_ptr(entry).addr();
    }

    fn on_evict(&self, leaving: &mut Leaving<K, V>, key: Scoped<K>, entry: Arc<Entry<V>>) {
        let address = Arc::as_ptr(&entry).addr();
        if leaving.picked != address {
            return self.0.depart(key, entry, RemovalCause::Replaced, leaving);
        }
        leaving.picked = 0;
        if leaving.entering == address {
            leaving.refused = true;
            self.0.settle(&entry);
            return self.0.refuse(key, entry, leaving);
        }
        self.0.depart(key, entry, RemovalCause::Evicted, leaving);
    }
}
