//! Level 1 of cache-enterprise: typed entries in memory.
//!
//! [`MemoryStore`] is core's [`LocalStore`](cache_enterprise_core::LocalStore) on quick_cache:
//! bounded by bytes or entries, sharded, with expiry, pinning and a listener.

mod listener;
mod store;

pub use listener::{LISTENER_QUEUE_MAX, Listener};
pub use store::{Leaving, MemoryStore, StoreConfig};
