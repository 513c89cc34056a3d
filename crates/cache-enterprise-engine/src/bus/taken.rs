//! What this process takes from others beside what they ended: a value, or a longer life.
//!
//! A value that was pushed takes the place of a copy that would answer now, and of nothing else.
//! So level 1 holds what is read here, and no key that somebody else writes. And the value is no
//! more believed than the copy: whatever ended it or put it in doubt would have done so with the
//! copy, which was older. What is pushed late, twice, or from before a loss finds no such copy.
//!
//! The bytes are judged as those of a tier are: by the key they are sealed for, their version, the
//! epochs known here, their life, and what this process was not able to tell the tiers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cache_enterprise_core::{
    CacheKey, Dates, Early, Entry, Freshness, LocalStore, NEVER, RemovalCause, Scoped, Sequence,
    StoredKey, mutant,
};

use super::Broadcast;
use crate::cache::{Cache, CacheCore, Leaving};
use crate::heed::{Ending, Successor};
use crate::shared::{Shared, TenantState};
use crate::tiers::Pass;

/// Another life for a value that the origin confirmed to another process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension<'a> {
    pub(crate) at: Sequence,
    pub(crate) etag: &'a str,
    pub(crate) from_wall_ms: i64,
    pub(crate) until_wall_ms: Option<i64>,
    pub(crate) expires_wall_ms: Option<i64>,
}

/// A cache that takes what other processes tell beside what they ended.
pub(crate) trait Taking: Send + Sync {
    /// Heeds the end of a key at `at`, with the value that took its place; says whether level 1
    /// has it now.
    fn adopt(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        pass: &Pass,
        value: &Bytes,
        at: Sequence,
    ) -> bool;

    /// Gives a copy in level 1 another life; says whether it did.
    fn extend(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        name: &StoredKey,
        extension: Extension<'_>,
    ) -> bool;
}

impl<K: CacheKey, V: Send + Sync + 'static> Taking for CacheCore<K, V> {
    fn adopt(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        pass: &Pass,
        value: &Bytes,
        at: Sequence,
    ) -> bool {
        let now = shared.clock.now();
        let cache = Cache::of(shared, tenant, Arc::clone(&self));
        let successor = cache.and_then(|cache| cache.successor(pass, value, at));
        self.heed_key(tenant, pass.key(), at, Ending::Hard, now, successor.as_ref())
    }

    fn extend(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        name: &StoredKey,
        extension: Extension<'_>,
    ) -> bool {
        Cache::of(shared, tenant, self).is_some_and(|cache| cache.extend_copy(name, extension))
    }
}

impl Broadcast {
    /// Counts a value that was pushed here.
    pub(super) fn note_adopted(&self, is_adopted: bool) {
        self.counts.adopted.fetch_add(u64::from(is_adopted), Ordering::Relaxed);
    }

    /// Counts a life that was told of here.
    pub(super) fn note_extended(&self, is_extended: bool) {
        self.counts.extended.fetch_add(u64::from(is_extended), Ordering::Relaxed);
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The cache of `core` as `tenant` sees it, over all levels.
    fn of(
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        core: Arc<CacheCore<K, V>>,
    ) -> Option<Self> {
        let name = core.name;
        Self::new(shared, tenant, core, name, None).ok()
    }

    /// The key in level 1, or being loaded, that is stored under `name`.
    fn key_named(&self, name: &StoredKey) -> Option<Scoped<K>> {
        let is_it = |key: &Scoped<K>| {
            key.tenant == self.tenant_id
                && self.view.space.key(&key.key).is_ok_and(|stored| stored == *name)
        };
        self.view.core.names.as_ref()?.keys(name).into_iter().find(is_it)
    }

    /// What a pushed value makes of the copy that its notice ends, if it may take its place.
    fn successor(&self, pass: &Pass, value: &Bytes, at: Sequence) -> Option<Successor<V>> {
        let key = self.key_named(pass.key())?;
        let of = self.store.peek(&self.scoped(&key.key))?;
        let is_older =
            of.version() < at || mutant::breaks("a pushed value takes the place of an older one");
        let is_believed = self.is_usable(&key.key, &of, self.view.clock.now())
            || mutant::breaks("a pushed value takes the place of what is believed");
        if !is_older || !is_believed {
            return None;
        }
        // Read before the value is judged: an epoch raised since has it compared again.
        let checked = match mutant::breaks("a pushed value takes the place of what is believed") {
            true => self.view.tenant.epochs.changes(),
            false => of.checked(),
        };
        let (entry, merit) = self.pushed_entry(pass, value, at, &key.key, checked)?;
        Some(Successor { of, entry, merit })
    }

    /// Gives the copy under `name` the life that its origin gave the same value in another
    /// process: of the same etag, in no newer version, and believed. Where its fresh life was
    /// ended rather than over, it is over for good: the end may have come after the confirmation.
    fn extend_copy(&self, name: &StoredKey, extension: Extension<'_>) -> bool {
        let Some(key) = self.key_named(name) else { return false };
        if self.stack().is_some_and(|stack| stack.owes_groups(&self.view.tenant)) {
            // One that ended here may have ended what was confirmed, whatever its number is.
            return false;
        }
        let (clock, options) = (&self.view.clock, &self.view.core.options);
        let date = |wall_ms: Option<i64>| wall_ms.map_or(NEVER, |wall| clock.at_wall(wall));
        let now = clock.now();
        let dates = Dates {
            created: clock.at_wall(extension.from_wall_ms).min(now),
            fresh_until: date(extension.until_wall_ms),
            expires: date(extension.expires_wall_ms),
        };
        let l1_until = self.l1_until(now, options);
        let l1_dates = Dates {
            fresh_until: dates.fresh_until.min(l1_until),
            expires: dates.expires.min(l1_until),
            ..dates
        };
        let mut leaving = Leaving::<K, V>::default();
        let borrowed = self.scoped(&key.key);
        let lock = self.view.core.flights.lock(&borrowed);
        let held = self.store.peek(&borrowed);
        let held = held.filter(|held| {
            self.is_valid(&key.key, held) && self.is_extended_by(held, extension, l1_dates)
        });
        let is_extended = held.is_some();
        if let Some(entry) = held {
            let load_ms = match entry.early() {
                Some(Early::Drawn { load_ms, .. }) => load_ms,
                _ => 0,
            };
            // Out and in again: the store schedules its end anew.
            self.store.remove(&borrowed, RemovalCause::Replaced, &mut leaving);
            entry.renew(extension.at, l1_dates, self.early(options, dates, load_ms));
            self.store.insert(key, entry, &mut leaving);
        }
        drop(lock);
        drop(leaving);
        is_extended
    }

    /// Whether a valid copy is what was confirmed, may live on, and would by these dates.
    fn is_extended_by(&self, held: &Entry<V>, extension: Extension<'_>, dates: Dates) -> bool {
        let is_confirmed = held.etag() == Some(extension.etag)
            || mutant::breaks("a life is that of the same value");
        let is_current = held.version() <= extension.at
            && held.freshness(self.view.clock.now()) != Freshness::Expired;
        let may_live = !held.is_ended() || mutant::breaks("what was ended does not live on");
        is_confirmed && is_current && may_live && held.dates().fresh_until < dates.fresh_until
    }
}
