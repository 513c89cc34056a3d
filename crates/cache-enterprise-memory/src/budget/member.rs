//! Who takes part in a budget.

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, LocalStore, Result};

use super::Budget;
use crate::{Leaving, MemoryStore, PolicyStore};

/// What a store tells its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bytes held.
    pub weight: u64,
    /// Entries held.
    pub entries: u64,
    /// Those of the bytes that no smaller capacity makes leave.
    pub pinned: u64,
    /// Entries evicted for want of room, ever.
    pub evictions: u64,
    /// Entries refused for want of room, ever.
    pub refusals: u64,
}

/// A store whose capacity a [`Budget`] sets. Called in [`Budget::turn`], and when a store joins or
/// leaves, with the budget locked: it must not call the budget, nor may what it drops.
pub trait Member: Send + Sync + 'static {
    /// What the store holds and lost.
    fn demand(&self) -> Demand;

    /// Sets the capacity in bytes; evicts down to it before it returns.
    fn resize(&self, capacity: u64);
}

impl<K: CacheKey, V: Send + Sync + 'static> Member for MemoryStore<K, V> {
    fn demand(&self) -> Demand {
        let stats = self.stats();
        Demand {
            weight: stats.weight,
            entries: stats.entries,
            pinned: self.pinned_weight(),
            evictions: stats.evictions,
            refusals: stats.refusals,
        }
    }

    fn resize(&self, capacity: u64) {
        LocalStore::resize(self, capacity, &mut Leaving::default());
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Member for PolicyStore<K, V> {
    /// What the policy turned away would have left at once, and presses like it.
    fn demand(&self) -> Demand {
        let stats = self.stats();
        let turned_away = self.turned_away();
        Demand {
            weight: stats.weight,
            entries: stats.entries,
            pinned: self.pinned_weight(),
            evictions: stats.evictions + turned_away,
            refusals: stats.refusals.saturating_sub(turned_away),
        }
    }

    fn resize(&self, capacity: u64) {
        LocalStore::resize(self, capacity, &mut Leaving::default());
    }
}

/// Name and limits of a member or group.
///
/// ```
/// use cache_enterprise_core::MIB;
/// use cache_enterprise_memory::Share;
///
/// let share = Share::new("users").floor(16 * MIB).ceiling(64 * MIB);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub(super) name: String,
    pub(super) floor: u64,
    pub(super) ceiling: u64,
    pub(super) start: Option<u64>,
}

impl Share {
    /// A share without limits. The name appears in errors and in `Debug`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), floor: 0, ceiling: u64::MAX, start: None }
    }

    /// Bytes it always has, used or not. Default: 0.
    #[must_use]
    pub fn floor(mut self, bytes: u64) -> Self {
        self.floor = bytes;
        self
    }

    /// Bytes it never passes. Default: no limit but the budget.
    #[must_use]
    pub fn ceiling(mut self, bytes: u64) -> Self {
        self.ceiling = bytes;
        self
    }

    /// Bytes it asks for when it joins, if they are fewer than an equal part. Default: an equal
    /// part.
    #[must_use]
    pub fn start(mut self, bytes: u64) -> Self {
        self.start = Some(bytes);
        self
    }
}

/// Membership of a store in a budget; the store leaves when this is dropped.
#[derive(Debug)]
#[must_use = "the store leaves the budget when its membership is dropped"]
pub struct Membership {
    budget: Budget,
    id: u64,
    /// Keeps the group while a member is left.
    _group: Option<Arc<GroupEnd>>,
}

impl Membership {
    pub(super) fn new(budget: Budget, id: u64) -> Self {
        Self { budget, id, _group: None }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.budget.leave(self.id);
    }
}

/// Stores under one floor and one ceiling, such as those of a tenant with a quota.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{LocalStore, MIB};
/// use cache_enterprise_memory::{Budget, MemoryStore, Share, StoreConfig};
///
/// let budget = Budget::new(64 * MIB);
/// let acme = budget.group(Share::new("acme").floor(4 * MIB).ceiling(8 * MIB))?;
/// let users = Arc::new(MemoryStore::<u64, u64>::new(StoreConfig::new(budget.capacity())));
/// let _users = acme.join(Share::new("users"), &users)?;
/// assert_eq!(users.stats().capacity, 8 * MIB);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    end: Arc<GroupEnd>,
}

/// Ends the group with its last holder.
#[derive(Debug)]
struct GroupEnd {
    budget: Budget,
    id: u64,
}

impl Group {
    pub(super) fn new(budget: Budget, id: u64) -> Self {
        Self { end: Arc::new(GroupEnd { budget, id }) }
    }

    /// Takes a store into the group; see [`Budget::join`].
    ///
    /// # Errors
    /// When its floor is above its ceiling, or the floors in the group are above the group's
    /// ceiling.
    pub fn join<M: Member>(&self, share: Share, member: &Arc<M>) -> Result<Membership> {
        let mut membership = self.end.budget.join_in(Some(self.end.id), share, member)?;
        membership._group = Some(Arc::clone(&self.end));
        Ok(membership)
    }

    /// Sets name, floor and ceiling anew. Stores that shrink evict within this call.
    ///
    /// # Errors
    /// As [`Budget::group`], and when the floors in the group are above the new ceiling; the old
    /// limits then stay.
    pub fn limit(&self, share: Share) -> Result<()> {
        self.end.budget.limit_group(self.end.id, share)
    }
}

impl Drop for GroupEnd {
    fn drop(&mut self) {
        self.budget.end_group(self.id);
    }
}
