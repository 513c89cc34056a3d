//! `set_if_version`: a value takes the place of the one that was read, and of no other.

use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, Cached, Entry, LocalStore, Lookup, Merit, RemovalCause, Result, Scoped, Sequence,
    SetOutcome,
};

use crate::cache::{Cache, Leaving};
use crate::options::{Life, Options};

/// What [`Cache::set_if_version`] did.
#[derive(Debug)]
#[non_exhaustive]
pub enum IfVersion<V> {
    /// The value stands where the expected one stood; its version is the one to expect next.
    Stored(Cached<V>),
    /// Another value stands there, of this version; [`Sequence::ZERO`] for none. What level 1
    /// held of another version is gone: the next read finds what stands there.
    Changed(Sequence),
    /// A removal that came later stands there.
    Removed,
    /// There is no room for the value.
    Refused,
}

impl<V> IfVersion<V> {
    /// Whether the value was stored.
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(_))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Sets `key` if the value that stands there is of this version, [`Sequence::ZERO`] for none:
    /// the version that [`get_entry`](Self::get_entry) told. One step for all processes: the
    /// deepest shared tier that can exchange values decides, the other levels follow. With level
    /// 1 alone it decides itself. Once it is decided the call is no failure any more: a level or a
    /// bus that does not take it is an event, shows in `health()` or `bus_stats()`, and is told
    /// again.
    ///
    /// A strategy of the cache gives the value its life; it is not asked whether the value comes
    /// in.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, Sequence, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, IfVersion, block_on};
    ///
    /// static STOCK: CacheSpec<String, u64> = CacheSpec::new("stock").ttl(mins(5));
    /// let stock = CacheManager::in_memory(Capacity::entries(100))?.open(&STOCK)?;
    /// block_on(async {
    ///     assert!(stock.set_if_version("tea", 9_u64, Sequence::ZERO).await?.is_stored());
    ///     let seen = stock.get_entry("tea").await?.expect("it was just stored");
    ///     stock.set("tea", 5_u64).await;
    ///     let late = stock.set_if_version("tea", *seen.value - 1, seen.version).await?;
    ///     assert!(matches!(late, IfVersion::Changed(version) if version > seen.version));
    ///     Ok::<(), cache_enterprise_core::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](cache_enterprise_core::ErrorKind::Unsupported) where tiers are shared and
    /// none of these can exchange values or nobody numbers for all processes, and where no tier
    /// can exchange values at all. When the key is over its length
    /// limit, the value cannot be encoded, no number could be had from the store of epochs, or
    /// the tier that decides fails: the value may be stored there then, and what is older is not
    /// served.
    pub async fn set_if_version<Q>(
        &self,
        key: &Q,
        value: impl Into<V>,
        version: Sequence,
    ) -> Result<IfVersion<V>>
    where
        Q: Lookup<K> + ?Sized,
    {
        let (key, value) = (key.to_key(), value.into());
        let kept = self.kept_if_version(&key, &value);
        let done = if self.view.has_tiers() {
            Box::pin(self.swap_below(key.clone(), value, version, kept)).await?
        } else {
            self.swap_level1(key.clone(), value, version, kept)
        };
        if done.is_stored() {
            self.end_dependents([&key], false).await;
        }
        Ok(done)
    }

    /// For how long the value lives, and what speaks for keeping it. Whether it comes in is not
    /// asked: a value that is not let in ends the one before it, and no tier removes on condition.
    fn kept_if_version(&self, key: &K, value: &V) -> (Options, Merit) {
        let mut options = self.view.core.options;
        let Some(advice) = self.advise(key, value, &options, None, None) else {
            return (options, Merit::NORMAL);
        };
        options.ttl = advice.ttl.map(Life::For).or(options.ttl);
        (options, advice.merit)
    }

    fn swap_level1(
        &self,
        key: K,
        value: V,
        expected: Sequence,
        (options, merit): (Options, Merit),
    ) -> IfVersion<V> {
        let (epochs, now) = (&self.view.tenant.epochs, self.view.clock.now());
        let tags = self.labelled(&key, Vec::new());
        let scoped = Scoped { tenant: self.tenant_id, key };
        let borrowed = self.scoped(&scoped.key);
        let mut leaving = Leaving::<K, V>::default();
        let mut lock = self.view.core.flights.lock(&borrowed);
        let held = self.store.peek(&borrowed).filter(|held| self.is_usable(&scoped.key, held, now));
        let current = held.as_ref().map_or(Sequence::ZERO, |held| held.version());
        if current != expected {
            drop(lock);
            return IfVersion::Changed(current);
        }
        let checked = epochs.changes();
        let at = epochs.sequence().take();
        let plan = self.plan(at, checked, now, tags, &options);
        let entry = self.make_entry(scoped.key.heap_bytes(), value, &plan, None);
        lock.detach(&borrowed);
        self.forget_absence(&borrowed);
        self.note_name(&scoped.key);
        let held_now = Arc::clone(&entry);
        let outcome = self.put_level1(scoped, held_now, merit, true, &mut leaving);
        drop(lock);
        drop((leaving, held));
        stored(outcome, entry, now)
    }

    /// Level 1's part after the tier that decides took the value, unless the key ended meanwhile:
    /// who ends it closes its gate before level 1 is let go.
    pub(crate) fn follow_swap(
        &self,
        key: K,
        entry: Arc<Entry<V>>,
        merit: Merit,
        is_newest: impl FnOnce() -> bool,
    ) -> IfVersion<V> {
        let mut leaving = Leaving::<K, V>::default();
        let scoped = Scoped { tenant: self.tenant_id, key };
        let borrowed = self.scoped(&scoped.key);
        let mut lock = self.view.core.flights.lock(&borrowed);
        lock.detach(&borrowed);
        self.forget_absence(&borrowed);
        let newer = self.store.peek(&borrowed);
        if is_newest() && newer.as_ref().is_none_or(|held| held.version() < entry.version()) {
            self.note_name(&scoped.key);
            self.put_level1(scoped, Arc::clone(&entry), merit, true, &mut leaving);
        }
        drop(lock);
        drop((leaving, newer));
        // It stands where it was decided, whatever level 1 took.
        stored(SetOutcome::Stored, entry, self.view.clock.now())
    }

    /// Takes a copy out of level 1 that is not what stands where it is decided.
    pub(crate) fn drop_other(&self, key: &K, version: Sequence) {
        let mut leaving = Leaving::<K, V>::default();
        let scoped = self.scoped(key);
        let lock = self.view.core.flights.lock(&scoped);
        if self.store.peek(&scoped).is_some_and(|held| held.version() != version) {
            self.store.remove(&scoped, RemovalCause::Invalidated, &mut leaving);
        }
        drop(lock);
        drop(leaving);
    }
}

fn stored<V>(outcome: SetOutcome, entry: Arc<Entry<V>>, now: u64) -> IfVersion<V> {
    match outcome {
        SetOutcome::Refused => IfVersion::Refused,
        _ => IfVersion::Stored(Cached::new(entry, now)),
    }
}
