//! The caches under comparison, behind one shape. All loops are inside the implementations, so
//! that nothing is called through a pointer but the caches' own code.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cache_enterprise_core::{Capacity, hours, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on};

use crate::keys::{BenchKey, PAYLOAD, Payload};

/// Life of entries where a peer has one.
const TTL: Duration = hours(1);

/// Tags in use by ours, one an entry.
const TAGS: u64 = 100;

/// A cache that can be filled, read and asked to load.
pub(crate) trait Peer<K: BenchKey>: Send + Sync + 'static {
    const NAME: &'static str;

    fn with_capacity(entries: usize) -> Self;
    /// Puts a payload in under the key of this number.
    fn put(&self, key: K, number: u64);
    /// Asks for one key the way an application would, and drops the answer.
    fn read(&self, key: &K::Query);
    /// Whether that is a hit, at the first poll where a read is polled.
    fn holds(&self, key: &K::Query) -> bool;
    /// Asks for every key of the stream, `passes` times; all are there.
    fn read_all(&self, stream: &K::Stream, passes: usize) {
        for _ in 0..passes {
            for key in K::queries(stream) {
                self.read(key);
            }
        }
    }
    /// Asks for every key of the stream and loads what is not there; how often it did.
    fn load_all(&self, stream: &K::Stream) -> usize;
}

/// Fails unless each of the first `keys` is held: a miss costs less than a hit, or much more.
///
/// To be asked after the timed part, which then finds the cache as it was filled. Nothing is put
/// in between, so that what is held in the end was held all the time.
pub(crate) fn check_hits<K: BenchKey>(
    keys: u64,
    holds: impl Fn(&K::Query) -> bool,
) -> Result<(), Box<dyn Error>> {
    match (0..keys).filter(|number| !holds(K::numbered(*number).borrow())).count() {
        0 => Ok(()),
        missed => Err(format!("{missed} of {keys} keys are missed where all should hit").into()),
    }
}

/// A hit is ready at its first poll: no runtime is part of what one call costs.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// cache-enterprise: tenant handle, TTL, one tag (none where it loads), counters, awaited.
pub(crate) struct Ours<K: BenchKey> {
    cache: Cache<K, Payload>,
    // The ticker lives as long as its manager.
    _manager: CacheManager,
}

impl<K: BenchKey> Peer<K> for Ours<K> {
    const NAME: &'static str = "cache-enterprise";

    fn with_capacity(entries: usize) -> Self {
        let spec: CacheSpec<K, Payload> = CacheSpec::new("bench").ttl(TTL);
        let manager = CacheManager::in_memory(Capacity::entries(entries as u64))
            .expect("the capacity is above zero and a thread can be had");
        let tenant = manager.tenant("acme").expect("the name is a legal tenant");
        let cache = tenant.open(&spec).expect("the spec has a life");
        Self { cache, _manager: manager }
    }

    fn put(&self, key: K, number: u64) {
        let label = number % TAGS;
        block_on(async {
            self.cache.set(key.borrow(), PAYLOAD).tags([tag!("group:{label}")]).await;
        });
    }

    fn read(&self, key: &K::Query) {
        let _ = black_box(poll_once(self.cache.get(key)));
    }

    fn holds(&self, key: &K::Query) -> bool {
        matches!(poll_once(self.cache.get(key)), Poll::Ready(Ok(Some(_))))
    }

    fn read_all(&self, stream: &K::Stream, passes: usize) {
        block_on(async {
            for _ in 0..passes {
                for key in K::queries(stream) {
                    let _ = black_box(self.cache.get(key).await);
                }
            }
        });
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        block_on(async {
            for key in K::queries(stream) {
                let load = || {
                    loads += 1;
                    async { PAYLOAD }
                };
                black_box(self.cache.get_with(key, load).await);
            }
        });
        loads
    }
}

impl<K: BenchKey> Peer<K> for quick_cache::sync::Cache<K, Arc<Payload>> {
    const NAME: &'static str = "quick_cache";

    fn with_capacity(entries: usize) -> Self {
        Self::new(entries)
    }

    fn put(&self, key: K, _: u64) {
        self.insert(key, Arc::new(PAYLOAD));
    }

    fn read(&self, key: &K::Query) {
        black_box(self.get(key));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.get(key).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for key in K::queries(stream) {
            let load = || {
                loads += 1;
                Ok::<_, Infallible>(Arc::new(PAYLOAD))
            };
            black_box(self.get_or_insert_with(key, load).ok());
        }
        loads
    }
}

impl<K: BenchKey> Peer<K> for moka::sync::Cache<K, Arc<Payload>> {
    const NAME: &'static str = "moka sync";

    fn with_capacity(entries: usize) -> Self {
        Self::builder().max_capacity(entries as u64).time_to_live(TTL).build()
    }

    fn put(&self, key: K, _: u64) {
        self.insert(key, Arc::new(PAYLOAD));
    }

    fn read(&self, key: &K::Query) {
        black_box(self.get(key));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.get(key).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for key in K::queries(stream) {
            let load = || {
                loads += 1;
                Arc::new(PAYLOAD)
            };
            black_box(self.get_with_by_ref(key, load));
        }
        loads
    }
}

impl<K: BenchKey> Peer<K> for moka::future::Cache<K, Arc<Payload>> {
    const NAME: &'static str = "moka future";

    fn with_capacity(entries: usize) -> Self {
        Self::builder().max_capacity(entries as u64).time_to_live(TTL).build()
    }

    fn put(&self, key: K, _: u64) {
        block_on(self.insert(key, Arc::new(PAYLOAD)));
    }

    fn read(&self, key: &K::Query) {
        let _ = black_box(poll_once(self.get(key)));
    }

    fn holds(&self, key: &K::Query) -> bool {
        matches!(poll_once(self.get(key)), Poll::Ready(Some(_)))
    }

    fn read_all(&self, stream: &K::Stream, passes: usize) {
        block_on(async {
            for _ in 0..passes {
                for key in K::queries(stream) {
                    black_box(self.get(key).await);
                }
            }
        });
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        block_on(async {
            for key in K::queries(stream) {
                let load = async {
                    loads += 1;
                    Arc::new(PAYLOAD)
                };
                black_box(self.get_with_by_ref(key, load).await);
            }
        });
        loads
    }
}

/// mini-moka can only be asked with an owned key; copying the text is part of its cost.
impl<K: BenchKey> Peer<K> for mini_moka::sync::Cache<K, Arc<Payload>> {
    const NAME: &'static str = "mini-moka";

    fn with_capacity(entries: usize) -> Self {
        Self::builder().max_capacity(entries as u64).time_to_live(TTL).build()
    }

    fn put(&self, key: K, _: u64) {
        self.insert(key, Arc::new(PAYLOAD));
    }

    fn read(&self, key: &K::Query) {
        black_box(self.get(&key.to_owned()));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.get(&key.to_owned()).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for key in K::queries(stream) {
            let key = key.to_owned();
            if black_box(self.get(&key)).is_none() {
                loads += 1;
                self.insert(key, Arc::new(PAYLOAD));
            }
        }
        loads
    }
}

impl<K: BenchKey> Peer<K> for foyer_memory::Cache<K, Arc<Payload>> {
    const NAME: &'static str = "foyer memory";

    fn with_capacity(entries: usize) -> Self {
        foyer_memory::CacheBuilder::new(entries).build()
    }

    fn put(&self, key: K, _: u64) {
        self.insert(key, Arc::new(PAYLOAD));
    }

    fn read(&self, key: &K::Query) {
        black_box(self.get(key));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.get(key).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for key in K::queries(stream) {
            if black_box(self.get(key)).is_none() {
                loads += 1;
                self.insert(key.to_owned(), Arc::new(PAYLOAD));
            }
        }
        loads
    }
}

impl<K: BenchKey> Peer<K> for cached::ShardedLruCache<K, Arc<Payload>> {
    const NAME: &'static str = "cached";

    fn with_capacity(entries: usize) -> Self {
        Self::builder().max_size(entries).build().expect("the size is above zero")
    }

    fn put(&self, key: K, _: u64) {
        self.set(key, Arc::new(PAYLOAD));
    }

    fn read(&self, key: &K::Query) {
        black_box(self.get(key));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.get(key).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for key in K::queries(stream) {
            if black_box(self.get(key)).is_none() {
                loads += 1;
                self.set(key.to_owned(), Arc::new(PAYLOAD));
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 100;

    fn tells_hits_and_loads<P: Peer<String>>() {
        let peer = P::with_capacity(KEYS as usize * 2);
        (0..KEYS).for_each(|number| peer.put(String::numbered(number), number));
        let check = |keys| check_hits::<String>(keys, |key| peer.holds(key));
        check(KEYS).unwrap_or_else(|error| panic!("{}: {error}", P::NAME));
        let missed = check(KEYS + 1).expect_err(P::NAME).to_string();
        assert_eq!(missed, "1 of 101 keys are missed where all should hit", "{}", P::NAME);
        let held_new_new_again = String::stream(&[7, 200, 201, 200]);
        assert_eq!(peer.load_all(&held_new_new_again), 2, "{}", P::NAME);
    }

    #[test]
    fn every_peer_tells_hits_from_misses_and_counts_its_loads() {
        tells_hits_and_loads::<Ours<String>>();
        tells_hits_and_loads::<quick_cache::sync::Cache<_, _>>();
        tells_hits_and_loads::<moka::sync::Cache<_, _>>();
        tells_hits_and_loads::<moka::future::Cache<_, _>>();
        tells_hits_and_loads::<mini_moka::sync::Cache<_, _>>();
        tells_hits_and_loads::<foyer_memory::Cache<_, _>>();
        tells_hits_and_loads::<cached::ShardedLruCache<_, _>>();
    }
}
