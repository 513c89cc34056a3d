//! The handle a hit gives.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Millis;
use crate::coherence::Sequence;
use crate::entry::{Entry, Freshness};

/// The handle a hit gives: shared, read-only, one reference count to clone. It derefs to the
/// value and stays readable when the entry leaves the cache.
///
/// ```
/// use cache_enterprise_core::{Cached, Dates, Entry, Sequence};
/// use std::sync::Arc;
///
/// let entry = Arc::new(Entry::new(String::from("Ada"), Sequence(1), 0, Dates::lasting(0, None)));
/// let name: Cached<String> = Cached::new(entry, 2_000);
/// assert_eq!(name.len(), 3);
/// assert_eq!(name.age().as_secs(), 2);
/// assert!(!name.is_stale());
/// ```
pub struct Cached<V> {
    entry: Arc<Entry<V>>,
    /// When the handle was given: age and staleness are told as of then.
    seen: Millis,
}

impl<V> Cached<V> {
    /// A handle on `entry`, given at `seen`.
    #[inline]
    pub fn new(entry: Arc<Entry<V>>, seen: Millis) -> Self {
        Self { entry, seen }
    }

    /// How old the value was when this handle was given, since it was loaded or last confirmed.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.seen.saturating_sub(self.entry.created()))
    }

    /// Whether the value was past its fresh life when this handle was given. A value that its origin
    /// confirms since counts as confirmed, for handles given before too.
    pub fn is_stale(&self) -> bool {
        self.entry.freshness(self.seen) != Freshness::Fresh
    }

    /// The sequence the value belongs to; a later value of the same key has a higher one.
    pub fn version(&self) -> Sequence {
        self.entry.version()
    }

    /// Whether two handles share one entry.
    pub fn ptr_eq(left: &Self, right: &Self) -> bool {
        Arc::ptr_eq(&left.entry, &right.entry)
    }

    /// The entry behind the handle, for stores and policies.
    pub fn entry(this: &Self) -> &Arc<Entry<V>> {
        &this.entry
    }
}

impl<V> Deref for Cached<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        self.entry.value()
    }
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry), seen: self.seen }
    }
}

impl<V> AsRef<V> for Cached<V> {
    fn as_ref(&self) -> &V {
        self
    }
}

impl<V: fmt::Debug> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.value().fmt(f)
    }
}

impl<V: fmt::Display> fmt::Display for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.value().fmt(f)
    }
}

impl<V: PartialEq> PartialEq for Cached<V> {
    fn eq(&self, other: &Self) -> bool {
        self.entry.value() == other.entry.value()
    }
}

impl<V: PartialEq> PartialEq<V> for Cached<V> {
    fn eq(&self, other: &V) -> bool {
        self.entry.value() == other
    }
}

impl<V: Eq> Eq for Cached<V> {}

#[cfg(feature = "serde")]
impl<V: serde::Serialize> serde::Serialize for Cached<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entry.value().serialize(serializer)
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use crate::Dates;

    #[test]
    fn a_handle_is_serialized_as_its_value() {
        let entry = Entry::new(7, Sequence(1), 0, Dates::lasting(0, None));
        let handle = Cached::new(Arc::new(entry), 5);
        assert_eq!(serde_json::to_value(handle).ok(), Some(7.into()));
    }
}
