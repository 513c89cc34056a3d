//! What leaves a store, and how it goes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::listener::{Listener, Teller};
use cache_enterprise_core::{Clock, Counter, Entry, RemovalCause, Scoped};

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
    pub(crate) entering: usize,
    /// Address of the entry that quick_cache has just picked: what leaves unpicked was replaced.
    pub(crate) picked: usize,
    pub(crate) refused: bool,
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

/// Where entries leave a store: they are counted and told of here.
pub(crate) struct Exit<K, V> {
    pub(crate) clock: Clock,
    pub(crate) teller: Option<Teller<K, V>>,
    pub(crate) evictions: Counter,
    pub(crate) expirations: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

impl<K, V> Exit<K, V> {
    /// A way out on which nobody has left yet. Starts a thread only for a listener.
    pub(crate) fn open(clock: Clock, listener: Option<Listener<K, V>>) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        Self {
            clock,
            teller: listener.map(Teller::start),
            evictions: Counter::default(),
            expirations: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// Counts the departure of an entry, and hands it to the listener's queue or to `leaving`.
    pub(crate) fn depart(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
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

    /// Departures the listener was not told of because its queue was full.
    pub(crate) fn untold(&self) -> u64 {
        self.teller.as_ref().map_or(0, Teller::untold)
    }
}
