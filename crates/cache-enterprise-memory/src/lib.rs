//! Level 1 of cache-enterprise: typed entries in memory.
//!
//! * [`MemoryStore`] is core's [`LocalStore`](cache_enterprise_core::LocalStore) on quick_cache:
//!   bounded by bytes or entries, sharded, with expiry, pinning and a listener.
//! * [`Budget`] divides a manager's bytes among its stores and tenants by use.
//! * [`HybridBackend`] is memory in front of any backend, as one backend.
//! * [`MemoryBackend`] keeps bytes behind core's [`Backend`](cache_enterprise_core::Backend).

mod backend;
mod budget;
mod hybrid;
mod listener;
mod overhead;
mod source;
mod store;

pub use backend::MemoryBackend;
pub use budget::{Budget, Demand, Group, Member, Membership, Share};
pub use hybrid::HybridBackend;
pub use listener::{LISTENER_QUEUE_MAX, Listener};
pub use overhead::entry_overhead;
pub use source::MemoryFactory;
pub use store::{Leaving, MemoryStore, StoreConfig};
