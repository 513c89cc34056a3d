//! What an entry costs beside its key's heap and its value.

use cache_enterprise_core::{Entry, Scoped};

/// Bytes of the map for each slot: an index of four, a tag of one, and a load of about two thirds.
const MAP_BYTES: usize = 8;

/// Bytes of expiry records for each entry that ends, those of entries that left included: one and
/// a half records of eight bytes, in vectors that grow by doubling.
const WHEEL_BYTES: usize = 20;

/// Two counts of an `Arc`.
const ARC_BYTES: usize = 16;

/// Links, tag and counter of a slot of quick_cache.
const SLOT_HEAD_BYTES: usize = 16;

/// Bytes an entry costs in a store of this crate beside the value itself and what
/// key and value hold on the heap.
///
/// Counted at steady state, when the policy also remembers keys that left and the slots have grown
/// by doubling: two slots an entry, where the ends of a doubling are 1.4 and 2.8 for entries of
/// half a kilobyte. A [`PolicyStore`](crate::PolicyStore) grows its cells more gently, and what its
/// policy keeps of an entry takes about what that spares. Weights made with it keep the memory of a
/// full store near its capacity.
///
/// ```
/// let bytes = cache_enterprise_memory::entry_overhead::<u64>();
/// assert!((160..200).contains(&bytes));
/// ```
pub const fn entry_overhead<K>() -> usize {
    let slot = size_of::<Scoped<K>>() + size_of::<usize>() + SLOT_HEAD_BYTES;
    (slot + MAP_BYTES) * 2 + ARC_BYTES + size_of::<Entry<()>>() + WHEEL_BYTES
}
