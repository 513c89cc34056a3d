//! What a strategy says of values on their way in: asked where one is set or loaded, never on a hit.
//!
//! ```text
//! refreshed      a loaded value is compared with the older one that is still known
//! should_cache   a value that is not to be stored ends what stands under its key
//! ttl            its life, unless the call or its loader named one
//! score, class   what speaks for keeping it in level 1; also of what climbs into it
//! ```

use std::any::{Any, TypeId};
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cache_enterprise_core::{
    CacheKey, Cached, Error, KeyWriter, Lookup, Merit, Millis, Result, SetOutcome, unescaped,
};
use cache_enterprise_strategies::lifetime::Refresh;
use cache_enterprise_strategies::{CacheStrategy, StrategyContext};

use crate::cache::Cache;
use crate::facade::AnyValue;
use crate::manager::CacheManager;
use crate::options::Options;
use crate::weight::value_bytes;

/// What a writer or a loader says of a value, for a strategy to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) data_type: Option<Box<str>>,
    pub(crate) attributes: Vec<(Box<str>, Box<str>)>,
    /// Whether the life is the call's: asked of the facade, whose cache has none of its own.
    pub(crate) is_life_named: bool,
}

/// What loading a value brought besides it.
pub(crate) struct AsLoaded<'a, V> {
    pub(crate) took: Took,
    /// The older value that is still known.
    pub(crate) older: Option<&'a Cached<V>>,
    pub(crate) etag: Option<&'a str>,
    /// The origin said that the older value is still the right one.
    pub(crate) is_confirmed: bool,
}

/// What a strategy decided of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice {
    pub(crate) is_kept: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) merit: Merit,
}

/// What a load took, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took(u64);

impl Took {
    /// In milliseconds. A load that took no time still counts as one.
    pub(crate) fn millis(self) -> Millis {
        (self.0 / 1_000).max(1)
    }

    /// `merit`, with what the load cost. Under a millisecond the noise of a machine is larger than
    /// what tells two origins apart, so that all such loads count alike.
    pub(crate) fn told(self, merit: Merit) -> Merit {
        merit.loaded_in(u32::try_from(self.0.max(1_000)).unwrap_or(u32::MAX))
    }
}

/// `merit` with the load time that a tier kept beside the value; 0 where it was set.
pub(crate) fn loaded_before(merit: Merit, load_ms: Millis) -> Merit {
    merit.loaded_in(u32::try_from(load_ms.saturating_mul(1_000)).unwrap_or(u32::MAX))
}

/// Strategies remember keys within a process only.
static HASHER: LazyLock<hashbrown::DefaultHashBuilder> =
    LazyLock::new(hashbrown::DefaultHashBuilder::default);

impl<C> CacheManager<C> {
    /// Makes a strategy known under a name, for caches that are opened from now on and name it:
    /// [`CacheSpec::fill_strategy`](crate::CacheSpec::fill_strategy).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cache_enterprise_core::{Capacity, MIB, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    /// use cache_enterprise_strategies::{CacheStrategy, StrategyContext};
    ///
    /// /// Caches what was marked as important.
    /// #[derive(Debug)]
    /// struct Important;
    ///
    /// impl CacheStrategy for Important {
    ///     fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
    ///         context.attribute("cache_priority") == Some("high")
    ///     }
    /// }
    ///
    /// static NAMES: CacheSpec<u64, String> =
    ///     CacheSpec::new("names").ttl(mins(5)).fill_strategy("important");
    ///
    /// let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    /// manager.register_strategy("important", Arc::new(Important))?;
    /// let names = manager.open(&NAMES)?;
    /// block_on(async {
    ///     names.set(&1, String::from("Ada")).attribute("cache_priority", "high").await;
    ///     names.set(&2, String::from("Bob")).await;
    /// });
    /// assert!(names.peek(&1).is_some() && names.peek(&2).is_none());
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the name is empty, too long or taken.
    pub fn register_strategy(&self, name: &str, strategy: Arc<dyn CacheStrategy>) -> Result<()> {
        self.shared.strategies.register(name, strategy)
    }

    /// The strategy of a cache that is opened: what its spec names, else what the manager names.
    pub(crate) fn strategy_of(
        &self,
        cache: &str,
        named: Option<&str>,
    ) -> Result<Option<Arc<dyn CacheStrategy>>> {
        let name = named.or(self.shared.fill_strategy.as_deref());
        let found = name.map(|name| self.shared.strategies.strategy(name)).transpose();
        found.map_err(|error: Error| error.with("cache", cache))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// What the cache's strategy says of a value that would be stored under these options; `None`
    /// without a strategy.
    pub(crate) fn advise<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        value: &V,
        options: &Options,
        said: Option<&Said>,
        loaded: Option<AsLoaded<'_, V>>,
    ) -> Option<Advice> {
        let strategy = self.view.core.strategy.as_ref()?;
        let key_text = text_of(&key.to_key());
        let attributes: Vec<(&str, &str)> = said.map_or_else(Vec::new, |said| {
            said.attributes.iter().map(|(name, text)| (&**name, &**text)).collect()
        });
        let mut context = self
            .context_of(key, &key_text, value)
            .configured(options.ttl.unwrap_or(self.view.core.life).duration())
            .attributes(&attributes);
        if let Some(data_type) = said.and_then(|said| said.data_type.as_deref()) {
            context = context.data_type(data_type);
        }
        if let Some(loaded) = loaded {
            context = context.load_time(Duration::from_micros(loaded.took.0));
            if let Some(refresh) = self.compared(value, &loaded) {
                strategy.refreshed(&context, refresh);
            }
        }
        let is_kept = strategy.should_cache(&context);
        // A life that the call or its loader named stands.
        let is_named = match value_is_untyped::<V>() {
            true => said.is_some_and(|said| said.is_life_named),
            false => options.ttl.is_some(),
        };
        let ttl = if is_named { None } else { strategy.ttl(&context) };
        Some(Advice { is_kept, ttl, merit: merit_by(strategy, &context) })
    }

    /// What a strategy can always be told of a value.
    fn context_of<'a, Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        key_text: &'a str,
        value: &'a V,
    ) -> StrategyContext<'a> {
        let bytes = self.view.core.weigh.map_or_else(|| value_bytes(value), |weigh| weigh(value));
        let context = StrategyContext::new(key_text)
            .hash(HASHER.hash_one((self.name(), self.scoped(key))))
            .bytes(bytes as u64);
        match revealed(value) {
            Some(value) => context.value(value),
            None => context,
        }
    }

    /// What speaks for a value that climbs: its strategy's word on its worth, and what loading it
    /// took once. Whether it is stored and for how long was decided when it was.
    pub(crate) fn merit_of_climb(
        &self,
        key: impl FnOnce() -> Option<K>,
        value: &V,
        load_ms: Millis,
    ) -> Merit {
        let judged = || {
            let strategy = self.view.core.strategy.as_ref()?;
            let key = key()?;
            Some(merit_by(strategy, &self.context_of(&key, &text_of(&key), value)))
        };
        loaded_before(judged().unwrap_or(Merit::NORMAL), load_ms)
    }

    /// The time in microseconds, by the coarse clock where nobody tells apart loads of less than a
    /// millisecond: the exact one costs as much as the rest of a short load's beginning.
    pub(crate) fn begins(&self) -> u64 {
        match self.view.core.strategy {
            Some(_) => self.view.clock.micros(),
            None => self.view.clock.now().saturating_mul(1_000),
        }
    }

    /// When a load began that has turned out not to be ready at once.
    pub(crate) fn begun_exactly(&self, begun_micros: u64) -> u64 {
        if self.begins() == begun_micros { self.view.clock.micros() } else { begun_micros }
    }

    /// What a load took that began then. One within a tick of the coarse clock took no time.
    pub(crate) fn took(&self, begun_micros: u64) -> Took {
        let is_short = self.begins() <= begun_micros;
        Took(if is_short { 0 } else { self.view.clock.micros().saturating_sub(begun_micros) })
    }

    /// Whether a loaded value is another one than before, where that can be told: by the etags of
    /// both, by the spec's comparison, or by what the codec writes of them.
    fn compared(&self, value: &V, loaded: &AsLoaded<'_, V>) -> Option<Refresh> {
        let older = loaded.older?;
        let entry = Cached::entry(older);
        let has_changed = if loaded.is_confirmed {
            false
        } else if let (Some(before), Some(now)) = (entry.etag(), loaded.etag) {
            before != now
        } else if let Some(is_same) = self.view.core.is_same {
            !is_same(older, value)
        } else {
            self.encoded(older)? != self.encoded(value)?
        };
        let after = self.view.clock.now().saturating_sub(entry.dates().created);
        Some(Refresh::new(has_changed, Duration::from_millis(after)))
    }

    /// What the codec writes of a value; `None` without a codec.
    fn encoded(&self, value: &V) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.view.core.codec.codec.encode(value, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Ends what stands under a key whose new value is not to be stored.
    ///
    /// # Errors
    /// That of a level or a bus that was not told, or of the store that gave no number: what they
    /// still hold is a miss in this process, and may answer in others.
    pub(crate) async fn decline(&self, key: K) -> Result<SetOutcome> {
        self.view.core.counts.declined.add(1);
        let keys = [key];
        let told = self.try_remove_many(&keys).await;
        self.end_dependents(&keys, false).await;
        told.map(|_| SetOutcome::Declined)
    }
}

fn merit_by(strategy: &Arc<dyn CacheStrategy>, context: &StrategyContext<'_>) -> Merit {
    Merit::new(strategy.score(context) as f32, strategy.class(context))
}

/// The value as strategies may look into it; that of the facade without its wrapping.
fn revealed<V: Send + Sync + 'static>(value: &V) -> Option<&(dyn Any + Send + Sync)> {
    let value: &(dyn Any + Send + Sync) = value;
    match value.downcast_ref::<AnyValue>() {
        Some(wrapped) => wrapped.revealed(),
        None => Some(value),
    }
}

/// Whether this is the facade's cache.
pub(crate) fn value_is_untyped<V: 'static>() -> bool {
    TypeId::of::<V>() == TypeId::of::<AnyValue>()
}

/// A key as people write it: its parts joined by `:`, nothing escaped.
pub(crate) fn text_of<K: CacheKey>(key: &K) -> String {
    let mut text = String::new();
    key.write(&mut KeyWriter::new(&mut text));
    if text.contains('%') { unescaped(&text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_was_written() {
        for key in ["user:7", "50%", "Größe{1}", "a%3Ab", "", "%"] {
            assert_eq!(text_of(&key.to_owned()), key);
        }
        assert_eq!(text_of(&(7_u64, String::from("a:b"))), "7:a:b");
    }
}
