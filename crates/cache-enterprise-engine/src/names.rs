//! How a notice finds its entry: from the name a key has in the tiers to the key in level 1.
//!
//! Other processes name a key as tiers store it, level 1 keeps the typed key, and no key can be
//! read back from its text. So a cache whose manager hears a bus remembers which keys have which
//! names: those in level 1 and those being loaded. A name is noted before anything is read under
//! it, so that a notice either finds the load or came before it.
//!
//! Names are noted and forgotten under the lock of the key's flight shard. Order of locks: flight
//! shard, then a shard of names.

use std::hash::BuildHasher;

use cache_enterprise_core::sync::atomic::{AtomicUsize, Ordering};
use cache_enterprise_core::sync::{MapHashBuilder, Mutex};
use cache_enterprise_core::{CacheKey, Scoped, StoredKey};
use hashbrown::HashTable;

/// A power of two.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 64 };

/// Names are swept when there are more than twice as many as entries, and more than this.
const SWEEP_MIN: usize = 1_024;

/// Keys beside the hashes of their names.
type Shard<K> = Mutex<HashTable<(u64, Scoped<K>)>>;

/// The keys of one cache by their names.
pub(crate) struct Names<K> {
    shards: Box<[Shard<K>]>,
    hasher: MapHashBuilder,
    len: AtomicUsize,
}

impl<K: CacheKey> Names<K> {
    /// Bytes that the name of one key takes, beside what the key holds on the heap.
    pub(crate) const BYTES: usize = size_of::<(u64, Scoped<K>)>() + 8;

    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashTable::new())).collect(),
            hasher: MapHashBuilder::default(),
            len: AtomicUsize::new(0),
        }
    }

    /// Notes that `key` is stored as `name`. Two keys of one hash are both kept.
    pub(crate) fn note(&self, name: &StoredKey, key: Scoped<K>) {
        let hash = self.hasher.hash_one(name);
        let mut shard = self.shard(hash).lock();
        if shard.find(hash, |(held, known)| *held == hash && *known == key).is_none() {
            shard.insert_unique(hash, (hash, key), |(held, _)| *held);
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The keys that may have this name: one as a rule.
    pub(crate) fn keys(&self, name: &StoredKey) -> Vec<Scoped<K>> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard(hash).lock();
        let named = shard.iter_hash(hash).filter(|(held, _)| *held == hash);
        named.map(|(_, key)| key.clone()).collect()
    }

    /// Whether it is time to look for names of keys that are gone. The entries are counted only
    /// where there are enough names for it to matter.
    pub(crate) fn is_due(&self, entries: impl FnOnce() -> usize) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        len > SWEEP_MIN && len > entries().saturating_mul(2)
    }

    /// Lets `forget` look at every key. It is called with no shard of names locked, and gives
    /// back whether the key's name may go; to let it go under the lock of its flight it calls
    /// what it is handed.
    pub(crate) fn sweep(&self, forget: impl Fn(&Scoped<K>, &dyn Fn())) {
        for shard in &self.shards {
            let known: Vec<_> = shard.lock().iter().cloned().collect();
            for (hash, key) in known {
                forget(&key, &|| {
                    let mut shard = shard.lock();
                    let is_it = |(held, known): &(u64, Scoped<K>)| *held == hash && *known == key;
                    if let Ok(found) = shard.find_entry(hash, is_it) {
                        found.remove();
                        self.len.fetch_sub(1, Ordering::Relaxed);
                    }
                });
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn shard(&self, hash: u64) -> &Shard<K> {
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn name(number: u64) -> StoredKey {
        KeySpace::new("m", "", "c").and_then(|space| space.key(&number)).expect("a short key")
    }

    fn scoped(key: u64) -> Scoped<u64> {
        Scoped { tenant: 0, key }
    }

    #[test]
    fn a_name_leads_to_its_key_until_it_is_swept() {
        let names = Names::new();
        for number in 0..100 {
            names.note(&name(number), scoped(number));
            names.note(&name(number), scoped(number));
        }
        assert_eq!((names.len(), names.keys(&name(7))), (100, vec![scoped(7)]));
        names.sweep(|key, let_go| {
            if key.key % 2 == 1 {
                let_go();
            }
        });
        assert_eq!(names.len(), 50);
        assert!(names.keys(&name(7)).is_empty());
        assert_eq!(names.keys(&name(8)), [scoped(8)]);
    }
}
