//! Level 1 of cache-enterprise: typed entries in memory.
//!
//! * [`MemoryStore`] is core's [`LocalStore`](cache_enterprise_core::LocalStore) on quick_cache:
//!   bounded by bytes or entries, sharded, with expiry, pinning and a listener.
//! * [`PolicyStore`] is the same contract under an eviction policy of one's own choice, and
//!   [`Level1Store`] either of them.
//! * [`Budget`] divides a manager's bytes among its stores and tenants by use.
//! * [`HybridBackend`] is memory in front of any backend, as one backend.
//! * [`MemoryBackend`] keeps bytes behind core's [`Backend`](cache_enterprise_core::Backend).

mod backend;
mod budget;
mod config;
mod expiry;
mod hybrid;
mod leaving;
mod level1;
mod listener;
mod overhead;
mod policy_store;
mod source;
mod store;
mod wheel;

pub use backend::MemoryBackend;
pub use budget::{Budget, Demand, Group, Member, Membership, Share};
pub use config::StoreConfig;
pub use hybrid::HybridBackend;
pub use leaving::Leaving;
pub use level1::{DEFAULT_STRATEGY, Level1Store, QUICK};
pub use listener::{LISTENER_QUEUE_MAX, Listener};
pub use overhead::entry_overhead;
pub use policy_store::PolicyStore;
pub use source::MemoryFactory;
pub use store::MemoryStore;
