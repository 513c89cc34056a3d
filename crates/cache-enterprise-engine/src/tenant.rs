//! What a tenant may hold in level 1, and what it holds.

use cache_enterprise_core::{Error, ErrorKind, Result};
use cache_enterprise_memory::{Group, Share};
use hashbrown::HashMap;

use crate::level1::Level1;
use crate::manager::CacheManager;
use crate::shared::TenantState;

/// A tenant's part of level 1: bytes kept for it, and bytes it may not exceed, over all caches
/// that divide the manager's budget. A cache whose capacity is of its own and counts entries is
/// outside of it.
///
/// ```
/// use cache_enterprise_core::MIB;
/// use cache_enterprise_engine::Quota;
///
/// let quota = Quota::floor(16 * MIB).ceiling(64 * MIB);
/// assert_eq!(quota.ceiling_bytes(), Some(64 * MIB));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    floor: u64,
    ceiling: Option<u64>,
}

impl Quota {
    /// Bytes kept for the tenant when others are busy. Default ceiling: none.
    pub const fn floor(bytes: u64) -> Self {
        Self { floor: bytes, ceiling: None }
    }

    /// Bytes the tenant may not exceed; over it the tenant evicts its own entries.
    #[must_use]
    pub const fn ceiling(mut self, bytes: u64) -> Self {
        self.ceiling = Some(bytes);
        self
    }

    /// The bytes kept for the tenant.
    pub const fn floor_bytes(&self) -> u64 {
        self.floor
    }

    /// The bytes the tenant may not exceed.
    pub const fn ceiling_bytes(&self) -> Option<u64> {
        self.ceiling
    }

    pub(crate) fn share(&self, tenant: &str) -> Share {
        Share::new(tenant).floor(self.floor).ceiling(self.ceiling.unwrap_or(u64::MAX))
    }

    fn check(&self) -> Result<()> {
        match self.ceiling {
            Some(ceiling) if ceiling < self.floor => {
                Err(Error::config("a quota's floor is over its ceiling; lower the floor")
                    .with("floor", self.floor)
                    .with("ceiling", ceiling))
            }
            Some(0) => Err(Error::config("a quota's ceiling is zero; give it room")),
            _ => Ok(()),
        }
    }
}

/// What a tenant holds in level 1, over all caches, read while others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantUsage {
    /// Entries, those that have ended but were not swept yet included.
    pub entries: u64,
    /// Weight of entries and of absent keys, in caches that count bytes.
    pub bytes: u64,
    /// The tenant's quota, when it has one.
    pub quota: Option<Quota>,
}

/// How a tenant takes part in level 1; settled by what comes first, a quota or an open cache.
#[derive(Debug, Default)]
pub(crate) enum Allotment {
    /// Neither a quota nor a cache so far.
    #[default]
    Open,
    /// The tenant has entries beside those of others: a quota would part it from them.
    Shared,
    /// A part of the budget of its own.
    Own(Quota, Group),
}

impl Allotment {
    /// The tenant's part for a cache that is being opened. From here on it is what it is.
    pub(crate) fn settle(&mut self) -> Option<(Quota, Group)> {
        match self {
            Self::Own(quota, group) => Some((*quota, group.clone())),
            Self::Open | Self::Shared => {
                *self = Self::Shared;
                None
            }
        }
    }

    fn quota(&self) -> Option<Quota> {
        match self {
            Self::Own(quota, _) => Some(*quota),
            Self::Open | Self::Shared => None,
        }
    }

    fn set(&mut self, quota: Quota, tenant: &str, level1: &Level1) -> Result<()> {
        match self {
            Self::Own(old, _) if *old == quota => {}
            Self::Own(old, group) => {
                group.limit(quota.share(tenant))?;
                *old = quota;
            }
            Self::Open => *self = Self::Own(quota, level1.group(tenant, &quota)?),
            Self::Shared => {
                let text = "the tenant has open caches already; \
                            give it its quota before it opens the first";
                return Err(Error::new(ErrorKind::Conflict, text).with("tenant", tenant));
            }
        }
        Ok(())
    }
}

impl<C> CacheManager<C> {
    /// Gives this tenant a part of level 1 of its own: its floor is kept for it, its ceiling
    /// bounds it, and no other tenant's entries make its own leave.
    ///
    /// The first quota comes before the tenant opens its first cache (the facade opens one too).
    /// Another quota for the same tenant takes effect at once: where it is smaller, entries leave
    /// within the call. The floor is kept from the moment the tenant opens a cache.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, MIB};
    /// use cache_enterprise_engine::{CacheManager, Quota};
    ///
    /// let manager = CacheManager::in_memory(Capacity::bytes(64 * MIB))?;
    /// let acme = manager.tenant("acme")?.quota(Quota::floor(4 * MIB).ceiling(16 * MIB))?;
    /// assert_eq!(acme.usage().quota, Some(Quota::floor(4 * MIB).ceiling(16 * MIB)));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// For the root tenant, for a tenant that has opened caches without a quota, when level 1
    /// counts entries, when the floor is over the ceiling, or when all floors together are over
    /// the budget. What held before then still holds.
    pub fn quota(self, quota: Quota) -> Result<Self> {
        quota.check()?;
        if self.tenant.name.is_empty() {
            let text = "the root tenant takes no quota; set the manager's capacity";
            return Err(Error::config(text));
        }
        let mut allotment = self.tenant.allotment.lock();
        allotment.set(quota, &self.tenant.name, &self.shared.level1)?;
        drop(allotment);
        Ok(self)
    }

    /// What this tenant holds in level 1. Walks all entries of tenants without a quota, in every
    /// cache: for administration, not for requests.
    pub fn usage(&self) -> TenantUsage {
        Self::usage_of(&self.tenant, &self.measure())
    }

    /// What each tenant holds in level 1, by name; the root tenant's name is empty. A tenant other
    /// than the root sees itself alone. Cost as [`usage`](Self::usage), whatever the number of
    /// tenants.
    pub fn usage_by_tenant(&self) -> Vec<(String, TenantUsage)> {
        if !self.tenant.name.is_empty() {
            return vec![(self.tenant.name.to_string(), self.usage())];
        }
        let measured = self.measure();
        let tenants = self.shared.tenants.lock();
        let named = tenants.iter();
        let mut usage: Vec<_> = named
            .map(|(name, tenant)| (name.to_string(), Self::usage_of(tenant, &measured)))
            .collect();
        usage.sort_by(|left, right| left.0.cmp(&right.0));
        usage
    }

    /// Usage by number of the tenant.
    fn measure(&self) -> HashMap<u32, TenantUsage> {
        let mut usage = HashMap::new();
        self.shared.periodics().iter().for_each(|cache| cache.usage(&mut usage));
        usage
    }

    fn usage_of(tenant: &TenantState, all: &HashMap<u32, TenantUsage>) -> TenantUsage {
        let held = all.get(&tenant.id).copied().unwrap_or_default();
        TenantUsage { quota: tenant.allotment.lock().quota(), ..held }
    }
}
