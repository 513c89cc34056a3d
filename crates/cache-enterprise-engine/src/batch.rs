//! Several keys in one call: one round trip a level where the backend can.

use cache_enterprise_core::{CacheKey, Cached, Lookup, Merit, Result, SetOutcome};

use crate::cache::Cache;
use crate::filling::Said;
use crate::options::{Life, Options};
use crate::write::{How, Labels};

/// What of a batch lives equally long, with its places in the batch.
struct OneLife<K, V> {
    life: Option<Life>,
    places: Vec<usize>,
    items: Vec<Item<K, V>>,
}

/// A value to be set under a key, and what speaks for keeping it.
pub(crate) struct Item<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) merit: Merit,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The values under `keys`, in their order; `None` where no level holds one. Keys that level 1
    /// does not hold are asked of each tier together.
    ///
    /// # Errors
    /// When a key is over its length limit and tiers would have to be asked; when a tier fails
    /// and the manager [fails fast](crate::Failover::FailFast).
    pub async fn get_many<Q: Lookup<K>>(&self, keys: &[Q]) -> Result<Vec<Option<Cached<V>>>> {
        let mut found: Vec<_> = keys.iter().map(|key| self.hit(key)).collect();
        let missing: Vec<usize> = (0..keys.len()).filter(|&index| found[index].is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        if !self.view.has_tiers() {
            self.view.core.counts.misses.add(missing.len() as u64);
            missing.iter().for_each(|&index| self.note_demand(&keys[index]));
            return Ok(found);
        }
        Box::pin(self.look_below_many(keys, &missing, &mut found)).await?;
        Ok(found)
    }

    /// Puts several values, each as [`set`](Self::set) would; an outcome each, in their order.
    /// The tiers get them together.
    pub async fn set_many<I, Q, T>(&self, items: I) -> Vec<SetOutcome>
    where
        I: IntoIterator<Item = (Q, T)>,
        Q: Into<K>,
        T: Into<V>,
    {
        let items = items.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.set_many_as(items, &self.view.core.options, None).await
    }

    /// As [`set_many`](Self::set_many), with options for all of them and what their writer said.
    pub(crate) async fn set_many_as(
        &self,
        items: impl Iterator<Item = (K, V)>,
        options: &Options,
        said: Option<&Said>,
    ) -> Vec<SetOutcome> {
        if self.view.core.strategy.is_some() {
            return Box::pin(self.set_many_advised(items.collect(), options, said)).await;
        }
        let items = items.map(|(key, value)| Item { key, value, merit: Merit::NORMAL });
        self.set_many_of(items, options).await
    }

    /// As [`set_many_as`](Self::set_many_as), as the strategy says: the tiers are told together of
    /// what lives equally long.
    async fn set_many_advised(
        &self,
        items: Vec<(K, V)>,
        options: &Options,
        said: Option<&Said>,
    ) -> Vec<SetOutcome> {
        let mut outcomes = vec![SetOutcome::Declined; items.len()];
        let mut by_life: Vec<OneLife<K, V>> = Vec::new();
        let mut declined = Vec::new();
        for (place, (key, value)) in items.into_iter().enumerate() {
            let advice = self.advise(&key, &value, options, said, None);
            if advice.is_some_and(|advice| !advice.is_kept) {
                declined.push(key);
                continue;
            }
            let life = advice.and_then(|advice| advice.ttl).map(Life::For).or(options.ttl);
            let group = match by_life.iter().position(|group| group.life == life) {
                Some(group) => group,
                None => {
                    by_life.push(OneLife { life, places: Vec::new(), items: Vec::new() });
                    by_life.len() - 1
                }
            };
            by_life[group].places.push(place);
            let merit = advice.map_or(Merit::NORMAL, |advice| advice.merit);
            by_life[group].items.push(Item { key, value, merit });
        }
        self.view.core.counts.declined.add(declined.len() as u64);
        self.remove_many(&declined).await;
        for OneLife { life, places, items } in by_life {
            let options = Options { ttl: life, ..*options };
            let stored = self.set_many_of(items.into_iter(), &options).await;
            for (place, outcome) in places.into_iter().zip(stored) {
                outcomes[place] = outcome;
            }
        }
        outcomes
    }

    async fn set_many_of(
        &self,
        items: impl Iterator<Item = Item<K, V>>,
        options: &Options,
    ) -> Vec<SetOutcome> {
        if !self.may_have_dependents() {
            return self.set_many_alone(items, options).await;
        }
        let items: Vec<_> = items.collect();
        let keys: Vec<K> = items.iter().map(|item| item.key.clone()).collect();
        let outcomes = self.set_many_alone(items.into_iter(), options).await;
        self.end_dependents(&keys, false).await;
        outcomes
    }

    async fn set_many_alone(
        &self,
        items: impl Iterator<Item = Item<K, V>>,
        options: &Options,
    ) -> Vec<SetOutcome> {
        if !self.view.has_tiers() {
            let set = |Item { key, value, merit }| {
                let how = How::own(options, merit);
                self.set_level1(key, value, Labels::default(), how, |_, _| None).1
            };
            return items.map(set).collect();
        }
        Box::pin(self.set_below_many(items.collect(), options)).await
    }

    /// Removes several keys, each as [`remove`](Self::remove) would, and counts those that level 1
    /// or a tier held. The tiers are told together.
    pub async fn remove_many<Q: Lookup<K>>(&self, keys: &[Q]) -> u64 {
        let (held, _) = self.remove_many_alone(keys).await;
        self.end_dependents(keys, false).await;
        held
    }

    /// As [`remove_many`](Self::remove_many) without those who derive from the keys, and with the
    /// error of a tier that was not told, or of the store that gave no number: until it is told,
    /// or told again under one, what it still holds is a miss.
    pub(crate) async fn try_remove_many<Q: Lookup<K>>(&self, keys: &[Q]) -> Result<u64> {
        let (held, told) = self.remove_many_alone(keys).await;
        told.map(|()| held)
    }

    async fn remove_many_alone<Q: Lookup<K>>(&self, keys: &[Q]) -> (u64, Result<()>) {
        if keys.is_empty() {
            return (0, Ok(()));
        }
        self.prepare_below().await;
        let number = self.number_below().await;
        let mut held = 0;
        let mut fences = Vec::with_capacity(keys.len());
        for key in keys {
            let (at, was_held, fence) = self.remove_level1(key, &number);
            held += u64::from(was_held);
            fences.push((fence, at));
        }
        let mut told = Ok(());
        if self.view.has_tiers() {
            match Box::pin(self.remove_below_many(fences)).await {
                Ok(below) => held = held.max(below),
                // A tier that failed was reported.
                Err(error) => told = Err(error),
            }
        }
        if let Some(error) = number.failure() {
            // It is done again under a number; until then what others wrote below may be newer.
            told = told.and(Err(error.clone().operation("remove_many")));
        }
        self.tell_keys(keys, false);
        (held, told)
    }
}
