//! An entry as the map holds it.

use std::ops::Deref;
use std::sync::Arc;

use cache_enterprise_core::Entry;

/// The map's handle on an entry. The map clones it under a shard's lock; that is the hit.
pub(crate) struct Held<V>(pub(crate) Arc<Entry<V>>);

impl<V> Clone for Held<V> {
    /// Asks for what the hit checks next, then takes a count. The count is a locked addition, and
    /// a load behind it waits until it is done. Where the entry's head lies on two cache lines,
    /// both are now under way together instead of one after the other.
    #[inline]
    fn clone(&self) -> Self {
        self.0.checked();
        Self(Arc::clone(&self.0))
    }
}

impl<V> Deref for Held<V> {
    type Target = Arc<Entry<V>>;

    fn deref(&self) -> &Arc<Entry<V>> {
        &self.0
    }
}
