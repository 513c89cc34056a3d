//! The keys asked for most.

use std::collections::HashMap;
use std::hash::Hash;

/// A key and how often it was asked for, at most.
///
/// ```
/// use cache_enterprise_strategies::insight::HotKeys;
///
/// let mut hot = HotKeys::new(4);
/// hot.record("front page");
/// let first = &hot.top(1)[0];
/// assert_eq!((first.key, first.count, first.error), ("front page", 1, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotKey<K> {
    /// The key.
    pub key: K,
    /// Requests counted for it: no fewer than there were.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
}

/// Counts the keys asked for most with a fixed number of counters: the space-saving algorithm
/// (Metwally, Agrawal & El Abbadi, ICDT 2005).
///
/// A key without a counter takes over the least one, and with it the count, which is then its
/// error. So every key that had more than one request in `counters` is there, and no count is too
/// low. A request costs a look-up and a walk down a heap of the counters; a key is cloned when it
/// takes a counter over.
///
/// ```
/// use cache_enterprise_strategies::insight::HotKeys;
///
/// let mut hot = HotKeys::new(10);
/// for n in 0..1_000 {
///     // Every other request is for one key, the others are for keys seen once.
///     hot.record(if n % 2 == 0 { 7 } else { 1_000 + n });
/// }
/// let first = &hot.top(1)[0];
/// assert_eq!((first.key, first.count - first.error), (7, 500));
/// ```
#[derive(Debug)]
pub struct HotKeys<K> {
    /// A heap, the least count on top.
    counters: Vec<HotKey<K>>,
    /// Where each key's counter stands in the heap.
    places: HashMap<K, usize>,
    counters_max: usize,
    requests: u64,
}

impl<K: Hash + Eq + Clone> HotKeys<K> {
    /// Counts with so many counters, at least one.
    pub fn new(counters: usize) -> Self {
        let counters_max = counters.max(1);
        Self { counters: Vec::new(), places: HashMap::new(), counters_max, requests: 0 }
    }

    /// A request for this key.
    pub fn record(&mut self, key: K) {
        self.requests += 1;
        if let Some(place) = self.places.get(&key).copied() {
            self.counters[place].count += 1;
            self.sink(place);
        } else if self.counters.len() < self.counters_max {
            self.places.insert(key.clone(), self.counters.len());
            self.counters.push(HotKey { key, count: 1, error: 0 });
            self.rise(self.counters.len() - 1);
        } else {
            let least = &mut self.counters[0];
            let error = least.count;
            self.places.insert(key.clone(), 0);
            let old = std::mem::replace(least, HotKey { key, count: error + 1, error });
            self.places.remove(&old.key);
            self.sink(0);
        }
    }

    /// The keys with the highest counts, the highest first; at most `count` of them.
    pub fn top(&self, count: usize) -> Vec<HotKey<K>> {
        let mut keys = self.counters.clone();
        keys.sort_by(|a, b| b.count.cmp(&a.count).then(a.error.cmp(&b.error)));
        keys.truncate(count);
        keys
    }

    /// Requests so far, less what [`age`](Self::age) took away.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Halves every count, so that what was hot long ago makes room. Costs a pass over the
    /// counters.
    pub fn age(&mut self) {
        self.requests /= 2;
        for counter in &mut self.counters {
            // Rounded up both times: no count falls below what it stands for. The order stays.
            counter.count = counter.count.div_ceil(2);
            counter.error = counter.error.div_ceil(2).min(counter.count);
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let Some(least) = children
                .into_iter()
                .filter(|child| *child < self.counters.len())
                .min_by_key(|child| self.counters[*child].count)
            else {
                return;
            };
            if self.counters[place].count <= self.counters[least].count {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.counters[parent].count <= self.counters[place].count {
                return;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.counters.swap(a, b);
        for place in [a, b] {
            if let Some(known) = self.places.get_mut(&self.counters[place].key) {
                *known = place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_never_too_low_and_errors_bound_them(
            keys in prop::collection::vec(prop_oneof![3 => 0_u8..4, 1 => 4_u8..40], 1..600),
            counters in 1_usize..16,
        ) {
            let mut hot = HotKeys::new(counters);
            let mut exact: HashMap<u8, u64> = HashMap::new();
            for key in &keys {
                hot.record(*key);
                *exact.entry(*key).or_default() += 1;
            }
            let top = hot.top(usize::MAX);
            prop_assert!(top.len() <= counters);
            prop_assert!(top.windows(2).all(|pair| pair[0].count >= pair[1].count));
            prop_assert_eq!(top.iter().map(|key| key.count).sum::<u64>(), keys.len() as u64);
            for found in &top {
                let count = exact[&found.key];
                prop_assert!(found.count >= count && found.count - found.error <= count);
            }
            for (key, count) in exact {
                if count > keys.len() as u64 / counters as u64 {
                    prop_assert!(top.iter().any(|found| found.key == key), "{} is missing", key);
                }
            }
        }
    }

    #[test]
    fn what_was_hot_long_ago_makes_room() {
        let mut hot = HotKeys::new(2);
        (0..1_000).for_each(|_| hot.record("old"));
        for _ in 0..10 {
            hot.age();
        }
        (0..20).for_each(|_| hot.record("new"));
        assert_eq!(hot.top(1)[0].key, "new");
        assert_eq!(hot.requests(), 20);
    }
}
