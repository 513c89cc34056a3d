//! Placing a value by the demand for its key: what is hot in level 1 and below, what is not further
//! down.
//!
//! ```text
//! sketch     counts the reads that level 1 could not answer, from the first placed write on
//! policy     says which is the highest level
//! place      above it every older copy is dropped, from it downward every level gets one
//! ```
//!
//! Hits in level 1 are not counted: that would put a shared counter on the hit path. That level 1
//! still holds a key says the same, since it keeps what is read.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use cache_enterprise_core::{
    CacheKey, CacheLevel, Error, Heat, LocalStore, Lookup, Merit, PlacementPolicy, RemovalCause,
    Result, Scoped, SetOutcome,
};

use crate::cache::{Cache, Leaving};
use crate::options::Options;
use crate::sketch::Sketch;
use crate::write::{How, Labels, Plan};

/// The fixed rule: hot keys in level 1 and below, warm ones from level 2, the rest in the deepest
/// level alone. A key that level 1 holds is hot.
///
/// ```
/// use cache_enterprise_core::{CacheLevel, Heat, PlacementPolicy};
/// use cache_enterprise_engine::ByHeat;
///
/// let rule = ByHeat { hot: 4, warm: 2 };
/// let highest = |frequency| rule.highest(Heat::new(frequency, false), CacheLevel::L3);
/// assert_eq!([4, 3, 1].map(highest), [CacheLevel::L1, CacheLevel::L2, CacheLevel::L3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByHeat {
    /// Demands from which on a key is hot. Default 4.
    pub hot: u32,
    /// Demands from which on a key is warm. Default 2.
    pub warm: u32,
}

impl Default for ByHeat {
    fn default() -> Self {
        Self { hot: 4, warm: 2 }
    }
}

impl PlacementPolicy for ByHeat {
    fn highest(&self, heat: Heat, deepest: CacheLevel) -> CacheLevel {
        if heat.is_held || heat.frequency >= self.hot {
            CacheLevel::L1
        } else if heat.frequency >= self.warm {
            CacheLevel::L2.min(deepest)
        } else {
            deepest
        }
    }
}

/// Where a placed value went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Placed {
    /// What was known of the key, this write included.
    pub heat: Heat,
    /// The highest level that was to get a copy.
    pub highest: CacheLevel,
    /// The levels that took it, top first; one that is written behind has it queued.
    pub levels: Vec<CacheLevel>,
    /// The first error of a level that was to take it, or to drop what it held.
    pub failure: Option<Error>,
}

/// Demands are compared within a process only.
static HASHER: LazyLock<hashbrown::DefaultHashBuilder> =
    LazyLock::new(hashbrown::DefaultHashBuilder::default);

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Puts `value` under `key` where its heat says: the highest level that gets a copy depends
    /// on how often the key was asked for lately, and every level below gets one as well. Copies
    /// above are dropped, so that nobody reads an older value. A read later lifts the value as it
    /// does any other. For a life or tags of its own see
    /// [`Set::multi_level`](crate::Set::multi_level).
    ///
    /// The first call makes the cache count its misses from then on, in 64 KiB. The rule is
    /// [`ByHeat`] unless the builder's [`placement`](crate::ManagerBuilder::placement) gives
    /// another.
    ///
    /// ```
    /// use cache_enterprise_core::{CacheLevel, Capacity, MIB, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static TRACKS: CacheSpec<String, u64> = CacheSpec::new("tracks").ttl(mins(5));
    ///
    /// let tracks = CacheManager::in_memory(Capacity::bytes(16 * MIB))?.open(&TRACKS)?;
    /// let placed = block_on(tracks.set_multi_level("popular_tracks", 7_u64))?;
    /// assert_eq!(placed.levels, [CacheLevel::L1], "there is no other");
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the key is over its length limit, the value cannot be encoded, or a newer write of
    /// the key came first.
    pub async fn set_multi_level<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        value: impl Into<V>,
    ) -> Result<Placed> {
        self.set(key, value).multi_level().await
    }

    /// Where a value went that was not to be stored.
    pub(crate) fn nowhere(&self) -> Placed {
        let (heat, highest) = (Heat::default(), self.deepest());
        Placed { heat, highest, levels: Vec::new(), failure: None }
    }

    /// Notes a read that level 1 could not answer, in caches that place by heat or are tuned.
    pub(crate) fn note_demand<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        self.note_missed(key);
        if let Some(sketch) = self.view.core.sketch.get() {
            sketch.note(HASHER.hash_one(self.scoped(key)));
        }
    }

    pub(crate) async fn place(
        &self,
        key: K,
        value: V,
        labels: Labels,
        options: &Options,
        merit: Merit,
    ) -> Result<Placed> {
        self.prepare_below().await;
        let sketch = self.view.core.sketch.get_or_init(Sketch::new);
        let is_held = self.peek(&key).is_some();
        let heat = Heat::new(sketch.note(HASHER.hash_one(self.scoped(&key))), is_held);
        let deepest = self.deepest();
        let highest = self.view.shared.placement.highest(heat, deepest).min(deepest);
        let mut placed = Placed { heat, highest, levels: Vec::new(), failure: None };
        self.place_from(key, value, labels, (options, merit), &mut placed).await?;
        placed.levels.sort_unstable();
        Ok(placed)
    }

    /// Writes level 1, or drops what it holds when the value belongs below.
    pub(crate) fn place_level1(
        &self,
        key: K,
        value: V,
        labels: Labels,
        how: How<'_>,
        is_hot: bool,
        encoded: impl FnOnce(&V, &Plan) -> Option<usize>,
    ) -> SetOutcome {
        if is_hot {
            return self.set_level1(key, value, labels, how, encoded).1;
        }
        let checked = self.view.tenant.epochs.changes();
        let at = self.numbered(how.number);
        let tags = self.labelled(&key, labels.tags);
        let plan = self.plan(at, checked, self.view.clock.now(), tags, how.options);
        let plan = Plan { data_type: labels.data_type, ..plan };
        encoded(&value, &plan);
        let scoped = Scoped { tenant: self.tenant_id, key };
        let mut leaving = Leaving::<K, V>::default();
        let outcome = {
            let borrowed = self.scoped(&scoped.key);
            let mut lock = self.view.core.flights.lock(&borrowed);
            lock.detach(&borrowed);
            self.forget_absence(&borrowed);
            let held = self.store.peek(&borrowed);
            if held.is_some_and(|held| self.gives_way(how.number, at, held.version())) {
                SetOutcome::Fenced
            } else {
                self.store.remove(&borrowed, RemovalCause::Replaced, &mut leaving);
                SetOutcome::Stored
            }
        };
        drop(leaving);
        outcome
    }
}

/// The policy of a manager that says nothing.
pub(crate) fn usual() -> Arc<dyn PlacementPolicy> {
    Arc::new(ByHeat::default())
}

/// A write that lost against a newer one.
pub(crate) fn overtaken() -> Error {
    Error::new(cache_enterprise_core::ErrorKind::Conflict, "a newer write of the key came first")
        .operation("set")
}
