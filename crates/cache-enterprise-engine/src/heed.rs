//! What other processes ended, found in level 1 of one cache.

use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, Entry, Freshness, LocalStore, Merit, Millis, RemovalCause, Scoped, ScopedRef,
    Sequence, StoredKey, mutant,
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

/// An entry that may take the place of a copy.
pub(crate) struct Successor<V> {
    /// The copy it was made for: no other gives way to it.
    pub(crate) of: Arc<Entry<V>>,
    pub(crate) entry: Arc<Entry<V>>,
    /// What speaks for it where a policy chooses who leaves.
    pub(crate) merit: Merit,
}

impl<V> Successor<V> {
    /// Whether `held` is the copy it was made for, which may have been ended or confirmed since.
    fn succeeds(&self, held: &Arc<Entry<V>>, now: Millis) -> bool {
        let is_older = held.version() < self.entry.version()
            || mutant::breaks("a pushed value takes the place of an older one");
        Arc::ptr_eq(held, &self.of) && is_older && held.freshness(now) == Freshness::Fresh
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> CacheCore<K, V> {
    /// Ends what level 1 has of a key that is older than `at`, and lets loads that began before
    /// store nothing. Says whether `successor` took the place of what was ended.
    pub(crate) fn heed_key(
        &self,
        tenant: &TenantState,
        name: &StoredKey,
        at: Sequence,
        ending: Ending,
        now: Millis,
        successor: Option<&Successor<V>>,
    ) -> bool {
        let Some(names) = &self.names else { return false };
        let Ok(holding) = self.holdings.of(tenant) else { return false };
        let mut has_successor = false;
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
            let held = holding.values().peek(&key);
            let is_succeeded =
                |by: &&Successor<V>| held.as_ref().is_some_and(|held| by.succeeds(held, now));
            let heir = successor.filter(is_succeeded);
            let older = held.filter(|held| is_older(held.version()));
            match (heir, older, ending) {
                (Some(heir), ..) => {
                    let entry = Arc::clone(&heir.entry);
                    holding.values().insert_with(key.clone(), entry, heir.merit, &mut leaving);
                    has_successor = true;
                }
                (None, Some(_), _) if mutant::breaks("a heard key leaves level 1") => {}
                (None, Some(_), Ending::Hard) => {
                    holding.values().remove(&key, RemovalCause::Invalidated, &mut leaving);
                }
                (None, Some(held), Ending::Soft) => held.end_freshness(now),
                (None, None, _) => {}
            }
            if let Some(absences) = holding.absences() {
                absences.remove(&key, RemovalCause::Invalidated, &mut absent);
            }
            drop(lock);
            drop((leaving, absent));
        }
        has_successor
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
