//! What other processes ended, found in level 1 of one cache.

use cache_enterprise_core::{
    CacheKey, LocalStore, Millis, RemovalCause, Scoped, ScopedRef, Sequence, StoredKey, mutant,
};

use crate::cache::{CacheCore, Leaving};
use crate::names::Names;
use crate::shared::TenantState;

/// What a notice leaves of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing.
    Hard,
    /// A value past its life.
    Soft,
}

impl<K: CacheKey, V: Send + Sync + 'static> CacheCore<K, V> {
    /// Ends what level 1 has of a key that is older than `at`, and lets loads that began before
    /// store nothing.
    pub(crate) fn heed_key(
        &self,
        tenant: &TenantState,
        name: &StoredKey,
        at: Sequence,
        ending: Ending,
        now: Millis,
    ) {
        let Some(names) = &self.names else { return };
        let Ok(holding) = self.holdings.of(tenant) else { return };
        for key in names.keys(name) {
            if key.tenant != tenant.id {
                continue;
            }
            let (mut leaving, mut absent) = (Leaving::<K, V>::default(), Default::default());
            let mut lock = self.flights.lock(&key);
            if !mutant::breaks("a heard key detaches its load") {
                lock.detach_older(&key, at);
            }
            let is_older = |held: Sequence| {
                held < at || mutant::breaks("versions of copies and notices are compared")
            };
            let older = holding.values().peek(&key).filter(|held| is_older(held.version()));
            match (older, ending) {
                (Some(_), _) if mutant::breaks("a heard key leaves level 1") => {}
                (Some(_), Ending::Hard) => {
                    holding.values().remove(&key, RemovalCause::Invalidated, &mut leaving);
                }
                (Some(held), Ending::Soft) => held.end_freshness(now),
                (None, _) => {}
            }
            if let Some(absences) = holding.absences() {
                absences.remove(&key, RemovalCause::Invalidated, &mut absent);
            }
            drop(lock);
            drop((leaving, absent));
        }
    }

    /// Lets go of the names of keys that are neither in level 1 nor being loaded.
    pub(crate) fn sweep_names(&self) {
        let Some(names) = &self.names else { return };
        let entries = || {
            let [values, absences] = self.holdings.stats();
            usize::try_from(values.entries + absences.entries).unwrap_or(usize::MAX)
        };
        if !names.is_due(entries) {
            return;
        }
        let holdings = self.holdings.all();
        names.sweep(|key, let_go| {
            let lock = self.flights.lock(key);
            let is_held = holdings.iter().any(|holding| {
                holding.values().peek(key).is_some()
                    || holding.absences().is_some_and(|absences| absences.peek(key).is_some())
            });
            if !is_held && !lock.is_loading(key) {
                let_go();
            }
        });
    }
}

/// Remembers the names of a cache's keys; `None` without a bus.
pub(crate) fn note_name<K: CacheKey>(
    names: Option<&Names<K>>,
    space: &cache_enterprise_core::KeySpace,
    key: ScopedRef<'_, K>,
) {
    if let Some(names) = names
        && let Ok(name) = space.key(key.key)
    {
        names.note(&name, Scoped { tenant: key.tenant, key: key.key.clone() });
    }
}
