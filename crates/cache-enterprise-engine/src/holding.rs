//! What a cache holds in level 1: one holding for all tenants without a quota, and one for each
//! tenant with one.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, LocalStore, Millis, Result, StoreStats};
use cache_enterprise_memory::{Group, Leaving, Level1Store, Listener, MemoryStore};
use hashbrown::HashMap;

use crate::level1::{Place, Placed};
use crate::shared::TenantState;
use crate::strategy::Policies;
use crate::tenant::{Quota, TenantUsage};
use crate::tune::Watch;
use crate::weight::Unit;

/// The stores of one cache for one tenant with a quota, or for all without.
pub(crate) struct Holding<K: CacheKey, V: Send + Sync + 'static> {
    values: Placed<Level1Store<K, V>>,
    /// Keys known to be absent; made by the first load that found nothing.
    absences: OnceLock<Placed<MemoryStore<K, ()>>>,
    place: Arc<Place>,
    part: Option<(Quota, Group)>,
    watch: Watch,
}

impl<K: CacheKey, V: Send + Sync + 'static> Holding<K, V> {
    fn new(
        place: &Arc<Place>,
        part: Option<(Quota, Group)>,
        listener: Option<Listener<K, V>>,
    ) -> Result<Arc<Self>> {
        let values = place.values(part.as_ref(), listener)?;
        let place = Arc::clone(place);
        Ok(Arc::new(Self {
            values,
            absences: OnceLock::new(),
            place,
            part,
            watch: Watch::default(),
        }))
    }

    pub(crate) fn values(&self) -> &Arc<Level1Store<K, V>> {
        &self.values.store
    }

    /// What a tuner hears and changes.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The absent keys, if any were ever noted.
    pub(crate) fn absences(&self) -> Option<&MemoryStore<K, ()>> {
        self.absences.get().map(|placed| &*placed.store)
    }

    /// The store of absent keys; the first call makes it.
    pub(crate) fn absences_or_new(&self) -> &MemoryStore<K, ()> {
        &self.absences.get_or_init(|| self.place.absences(self.part.as_ref())).store
    }

    fn turn(&self, now: Millis) {
        self.values().turn(now, &mut Leaving::default());
        if let Some(absences) = self.absences() {
            absences.turn(now, &mut Leaving::default());
        }
    }
}

/// All holdings of one cache.
pub(crate) struct Holdings<K: CacheKey, V: Send + Sync + 'static> {
    place: Arc<Place>,
    listener: Option<Listener<K, V>>,
    shared: Arc<Holding<K, V>>,
    /// By number of the tenant.
    of_tenants: Mutex<BTreeMap<u32, Arc<Holding<K, V>>>>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Holdings<K, V> {
    pub(crate) fn new(place: Place, listener: Option<Listener<K, V>>) -> Result<Self> {
        let place = Arc::new(place);
        let shared = Holding::new(&place, None, listener.clone())?;
        Ok(Self { place, listener, shared, of_tenants: Mutex::default() })
    }

    pub(crate) fn unit(&self) -> Unit {
        self.place.unit()
    }

    /// Whether the stores divide bytes with those of other caches.
    pub(crate) fn is_divided(&self) -> bool {
        self.place.keeps_quotas()
    }

    /// What the manager lets decide over the values; `None` where quick_cache does.
    pub(crate) fn policies(&self) -> Option<Policies> {
        self.place.policies()
    }

    /// The holding of all tenants without a quota.
    pub(crate) fn shared(&self) -> &Arc<Holding<K, V>> {
        &self.shared
    }

    /// The holding of a tenant: always the same one, since a quota cannot come after it.
    pub(crate) fn of(&self, tenant: &TenantState) -> Result<Arc<Holding<K, V>>> {
        if !self.place.keeps_quotas() {
            return Ok(Arc::clone(&self.shared));
        }
        let Some(part) = tenant.allotment.lock().settle() else {
            return Ok(Arc::clone(&self.shared));
        };
        let mut of_tenants = self.of_tenants.lock();
        if let Some(holding) = of_tenants.get(&tenant.id) {
            return Ok(Arc::clone(holding));
        }
        let holding = Holding::new(&self.place, Some(part), self.listener.clone())?;
        of_tenants.insert(tenant.id, Arc::clone(&holding));
        Ok(holding)
    }

    /// Drops what has expired.
    pub(crate) fn turn(&self, now: Millis) {
        self.shared.turn(now);
        // Listeners run in a turn, so no lock is held across it.
        self.own().iter().for_each(|holding| holding.turn(now));
    }

    /// Values and absent keys, all tenants together.
    pub(crate) fn stats(&self) -> [StoreStats; 2] {
        let mut stats = [StoreStats::default(); 2];
        for holding in self.all() {
            add(&mut stats[0], holding.values().stats());
            if let Some(absences) = holding.absences() {
                add(&mut stats[1], absences.stats());
            }
        }
        stats
    }

    /// Adds to `usage`, by number of the tenant, what each holds here: walks the holding of the
    /// tenants without a quota.
    pub(crate) fn usage(&self, usage: &mut HashMap<u32, TenantUsage>) {
        let counts_bytes = self.unit() == Unit::Bytes;
        let mut book = |tenant: u32, entries: u64, weight: u64| {
            let usage = usage.entry(tenant).or_default();
            usage.entries += entries;
            usage.bytes += if counts_bytes { weight } else { 0 };
        };
        self.shared.values().for_each(|key, entry| book(key.tenant, 1, entry.weight().into()));
        if let Some(absences) = self.shared.absences() {
            absences.for_each(|key, entry| book(key.tenant, 0, entry.weight().into()));
        }
        let of_tenants = self.of_tenants.lock();
        for (tenant, holding) in &*of_tenants {
            let values = holding.values().stats();
            let absences = holding.absences().map(LocalStore::stats).unwrap_or_default();
            book(*tenant, values.entries, values.weight + absences.weight);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Holding<K, V>>> {
        std::iter::once(Arc::clone(&self.shared)).chain(self.own()).collect()
    }

    /// Those of tenants with a quota.
    fn own(&self) -> Vec<Arc<Holding<K, V>>> {
        self.of_tenants.lock().values().map(Arc::clone).collect()
    }
}

fn add(sum: &mut StoreStats, stats: StoreStats) {
    sum.entries += stats.entries;
    sum.weight += stats.weight;
    sum.capacity += stats.capacity;
    sum.evictions += stats.evictions;
    sum.expirations += stats.expirations;
    sum.refusals += stats.refusals;
}
