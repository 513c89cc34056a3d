//! The hooks of quick_cache, which see entries leave.

use std::sync::Arc;

use cache_enterprise_core::{Entry, RemovalCause, Scoped};
use quick_cache::Lifecycle;

use super::ledger::Ledger;
use crate::leaving::{Exit, Leaving};

/// What hooks and store share: the books, and the way out.
pub(super) struct Door<K, V> {
    pub(super) ledger: Arc<Ledger>,
    pub(super) exit: Exit<K, V>,
}

impl<K, V> Door<K, V> {
    /// Books and counts the departure of an entry.
    pub(super) fn depart(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
        self.settle(&entry);
        self.exit.depart(key, entry, cause, leaving);
    }

    fn settle(&self, entry: &Arc<Entry<V>>) {
        if self.ledger.is_special(entry) {
            self.ledger.leave(entry);
        }
    }
}

/// The hooks. They run under a shard's lock: count, book, and hand on.
pub(super) struct Hooks<K, V>(pub(super) Arc<Door<K, V>>);

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
            return self.0.exit.refuse(key, entry, leaving);
        }
        self.0.depart(key, entry, RemovalCause::Evicted, leaving);
    }
}
