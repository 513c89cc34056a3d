//! CPU time of a hit in the store under each eviction policy, beside caches that have the same.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;

use cache_enterprise_core::{
    Capacity, Dates, Entry, LocalStore, PolicyFactory, Scoped, ScopedRef, Sequence,
};
use cache_enterprise_memory::{Leaving, PolicyStore, StoreConfig};
use cache_enterprise_strategies::eviction;
use foyer_memory::{CacheBuilder, EvictionConfig, FifoConfig, LfuConfig, LruConfig, S3FifoConfig};

use crate::keys::{BenchKey, PAYLOAD, Payload, zipf};
use crate::peers::{Peer, check_hits};
use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Case, Round, Series, cpu_ns_each, interleave, whole};

type Quick<K> = quick_cache::sync::Cache<K, Arc<Payload>>;
type Moka<K> = moka::sync::Cache<K, Arc<Payload>>;
type Foyer<K> = foyer_memory::Cache<K, Arc<Payload>>;

/// The smaller number of keys stays in the processor's cache.
const SIZES: [(usize, usize); 2] = [(4_000, 24), (100_000, 2)];

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    for (keys, passes) in SIZES {
        for threads in [1, 2] {
            Hits { keys, passes, threads }.run::<String>(report, rounds)?;
            Hits { keys, passes, threads }.run::<u64>(report, rounds)?;
        }
    }
    Ok(())
}

/// All keys are resident; every thread asks for them by Zipf 0.99.
#[derive(Clone, Copy)]
struct Hits {
    keys: usize,
    passes: usize,
    threads: usize,
}

impl Hits {
    fn run<K: BenchKey>(self, report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
        let Self { keys, threads, .. } = self;
        let of = format!("{}, {}k keys, {threads} threads", K::KIND, keys / 1_000);
        progress(&format!("hit under each policy, {of}"));
        let operations = if keys > 10_000 { 1 << 18 } else { 1 << 14 };
        let stream = Arc::new(K::stream(&zipf(keys as u64, operations, 2)?));
        let policies = eviction::all();
        let mut cases: Vec<Case<Round>> = peers::<K>(self, operations, &stream);
        let peers = cases.len();
        for factory in &policies {
            // One name a policy and process.
            let (name, factory) = (factory.name().to_owned().leak(), Arc::clone(factory));
            cases.push(self.case(name, operations, &stream, move |entries| {
                UnderPolicy::<K>::new(entries, &*factory)
            }));
        }
        let series = whole(interleave(cases, rounds))?;
        let (peers, ours) = series.split_at(peers);
        for ours in ours {
            let has_same = |peer: &&Series| {
                peer.name == "quick_cache" || peer.name.ends_with(&format!(" {}", ours.name))
            };
            for peer in peers.iter().filter(has_same) {
                let bench = format!("hit of {}, {of}", ours.name);
                let place =
                    Place { bar: None, group: "policies", bench: &bench, unit: "ns cpu/op" };
                report.line(&Line::ratio(place, ours, peer))?;
            }
        }
        Ok(())
    }

    fn case<K: BenchKey, P: Peer<K>>(
        self,
        name: &'static str,
        operations: usize,
        stream: &Arc<K::Stream>,
        open: impl Fn(usize) -> P + 'static,
    ) -> Case<Round> {
        let stream = Arc::clone(stream);
        Case::new(name, move || {
            // Twice the room: no shard of anybody's evicts.
            let peer = open(self.keys * 2);
            (0..self.keys as u64).for_each(|number| peer.put(K::numbered(number), number));
            peer.read_all(&stream, 1);
            let cost = cpu_ns_each(operations * self.passes * self.threads, || {
                thread::scope(|scope| {
                    for _ in 1..self.threads {
                        scope.spawn(|| peer.read_all(&stream, self.passes));
                    }
                    peer.read_all(&stream, self.passes);
                });
            });
            check_hits::<K>(self.keys as u64, |key| peer.holds(key))?;
            Ok(cost)
        })
    }
}

/// Raw quick_cache, and caches under a policy that ours has too; the name ends with the policy's.
fn peers<K: BenchKey>(hits: Hits, operations: usize, stream: &Arc<K::Stream>) -> Vec<Case<Round>> {
    let moka = |policy: moka::policy::EvictionPolicy| {
        move |entries: usize| -> Moka<K> {
            let builder = moka::sync::Cache::builder().max_capacity(entries as u64);
            builder.eviction_policy(policy.clone()).build()
        }
    };
    let foyer = |config: EvictionConfig| {
        move |entries: usize| -> Foyer<K> {
            CacheBuilder::new(entries).with_eviction_config(config.clone()).build()
        }
    };
    let s3_fifo = EvictionConfig::S3Fifo(S3FifoConfig::default());
    let lfu = EvictionConfig::Lfu(LfuConfig::default());
    let tiny_lfu = moka::policy::EvictionPolicy::tiny_lfu();
    let fifo = EvictionConfig::Fifo(FifoConfig::default());
    vec![
        hits.case("quick_cache", operations, stream, Quick::<K>::new),
        hits.case("moka lru", operations, stream, moka(moka::policy::EvictionPolicy::lru())),
        hits.case("moka w-tinylfu", operations, stream, moka(tiny_lfu)),
        hits.case("foyer fifo", operations, stream, foyer(fifo)),
        hits.case("foyer lru", operations, stream, foyer(LruConfig::default().into())),
        hits.case("foyer s3-fifo", operations, stream, foyer(s3_fifo)),
        hits.case("foyer w-tinylfu", operations, stream, foyer(lfu)),
    ]
}

/// The store itself, without the checks that a cache makes after it.
struct UnderPolicy<K: BenchKey>(PolicyStore<K, Payload>);

impl<K: BenchKey> UnderPolicy<K> {
    fn new(entries: usize, factory: &dyn PolicyFactory) -> Self {
        let config = StoreConfig::new(Capacity::entries(entries as u64));
        Self(PolicyStore::new(config, factory))
    }
}

impl<K: BenchKey> Peer<K> for UnderPolicy<K> {
    const NAME: &'static str = "policy store";

    fn with_capacity(entries: usize) -> Self {
        Self::new(entries, &eviction::S3Fifo::default())
    }

    fn put(&self, key: K, _: u64) {
        let entry = Entry::new(PAYLOAD, Sequence(1), 0, Dates::lasting(0, None)).with_weight(1);
        self.0.insert(Scoped { tenant: 0, key }, Arc::new(entry), &mut Leaving::default());
    }

    fn read(&self, key: &K::Query) {
        black_box(self.0.get(&ScopedRef { tenant: 0, key }));
    }

    fn holds(&self, key: &K::Query) -> bool {
        self.0.get(&ScopedRef { tenant: 0, key }).is_some()
    }

    fn load_all(&self, stream: &K::Stream) -> usize {
        let mut loads = 0;
        for (number, key) in K::queries(stream).enumerate() {
            if black_box(self.0.get(&ScopedRef { tenant: 0, key })).is_none() {
                loads += 1;
                self.put(key.to_owned(), number as u64);
            }
        }
        loads
    }
}
