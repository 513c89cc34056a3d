//! Bars 5 and 7: what a hit allocates, and what an entry costs beside its value.
//!
//! Linking `allocation_counter` makes the allocator of this process count. Counts are those of
//! the calling thread; the eviction of every cache here runs on the thread that inserts.

#[path = "../../keys.rs"]
#[allow(dead_code, reason = "streams are for the timed groups")]
mod keys;

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use allocation_counter::measure;
use cache_enterprise_core::{Capacity, hours, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on};

use keys::{BenchKey, PAYLOAD, Payload};

/// Inserts, and entries that fit: a store in its steady state, whatever it remembers of those
/// that left included.
const INSERTS: u64 = 400_000;
const CAPACITY: usize = 100_000;

/// The value's own allocation where it is shared: 128 bytes and two reference counts. It is not
/// counted as overhead, neither for peers (`Arc<[u8; 128]>`) nor for ours (part of the entry).
const VALUE_BYTES: f64 = 144.0;

/// Hits in one measurement.
const HITS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("l1") => hits(),
        Some("memory") => {
            overhead::<u64>()?;
            overhead::<String>()
        }
        _ => Err("counted takes one group, `l1` or `memory`".into()),
    }
}

/// Prints one line; the fields are those of the timed groups.
fn print(
    bar: Option<u8>,
    group: &str,
    bench: &str,
    peer: Option<&str>,
    (ours, theirs): (f64, Option<f64>),
    unit: &str,
) -> Result<(), Box<dyn Error>> {
    let ratio = theirs.map_or(ours, |theirs| ours / theirs);
    let line = serde_json::json!({
        "bar": bar, "group": group, "bench": bench, "peer": peer, "ours": ours,
        "theirs": theirs, "unit": unit, "ratio": ratio, "p25": ratio, "p75": ratio,
    });
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

fn open<K: BenchKey>() -> Result<(CacheManager, Cache<K, Payload>), Box<dyn Error>> {
    let spec: CacheSpec<K, Payload> = CacheSpec::new("counted").ttl(hours(1));
    let manager = CacheManager::in_memory(Capacity::entries(CAPACITY as u64))?;
    let cache = manager.tenant("acme")?.open(&spec)?;
    Ok((manager, cache))
}

fn hits() -> Result<(), Box<dyn Error>> {
    let (_manager, cache) = open::<String>()?;
    let key = String::numbered(7);
    block_on(async { cache.set(&*key, PAYLOAD).tags([tag!("group:7")]).await });
    let peeks = measure(|| {
        for _ in 0..HITS {
            assert!(black_box(cache.peek(&*key)).is_some(), "the key is there");
        }
    });
    let gets = measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..HITS {
            let polled = pin!(cache.get(&*key)).poll(&mut cx);
            assert!(black_box(polled).is_ready(), "a hit is ready at once");
        }
    });
    for (bench, count) in [("peek", peeks.count_total), ("async get", gets.count_total)] {
        let bench = format!("allocations of {HITS} hits, {bench}");
        print(Some(5), "l1", &bench, None, (count as f64, None), "allocations")?;
    }
    Ok(())
}

/// Bytes an entry takes beside its value, the tables and the cache itself divided among entries.
fn overhead_of<C>(fill: impl FnOnce() -> (C, u64)) -> f64 {
    let mut filled = None;
    let info = measure(|| filled = Some(fill()));
    let entries = filled.as_ref().map_or(1, |(_, entries)| *entries) as f64;
    info.bytes_current as f64 / entries - VALUE_BYTES
}

fn overhead<K: BenchKey>() -> Result<(), Box<dyn Error>> {
    let ours = overhead_of(|| ours_filled::<K>(false));
    let tagged = overhead_of(|| ours_filled::<K>(true));
    let moka = overhead_of(|| {
        let builder = moka::sync::Cache::<K, Arc<Payload>>::builder();
        let cache = builder.max_capacity(CAPACITY as u64).time_to_live(hours(1)).build();
        (0..INSERTS).for_each(|number| cache.insert(K::numbered(number), Arc::new(PAYLOAD)));
        cache.run_pending_tasks();
        let entries = cache.entry_count();
        (cache, entries)
    });
    let quick = overhead_of(|| {
        let cache = quick_cache::sync::Cache::<K, Arc<Payload>>::new(CAPACITY);
        (0..INSERTS).for_each(|number| cache.insert(K::numbered(number), Arc::new(PAYLOAD)));
        let entries = cache.len() as u64;
        (cache, entries)
    });
    let foyer = overhead_of(|| {
        let cache: foyer_memory::Cache<K, Arc<Payload>> =
            foyer_memory::CacheBuilder::new(CAPACITY).build();
        for number in 0..INSERTS {
            cache.insert(K::numbered(number), Arc::new(PAYLOAD));
        }
        let entries = cache.entries() as u64;
        (cache, entries)
    });
    let bench = format!("overhead an entry, steady, {}", K::KIND);
    let unit = "bytes";
    print(Some(7), "memory", &bench, Some("moka sync"), (ours, Some(moka)), unit)?;
    print(None, "memory", &bench, Some("quick_cache"), (ours, Some(quick)), unit)?;
    print(None, "memory", &bench, Some("foyer memory"), (ours, Some(foyer)), unit)?;
    let bench = format!("{bench}, one tag");
    print(None, "memory", &bench, Some("moka sync"), (tagged, Some(moka)), unit)
}

fn ours_filled<K: BenchKey>(is_tagged: bool) -> ((CacheManager, Cache<K, Payload>), u64) {
    let (manager, cache) = open::<K>().expect("a capacity and a life are given");
    let tags = is_tagged.then(|| tag!("group:7"));
    block_on(async {
        for number in 0..INSERTS {
            let key = K::numbered(number);
            cache.set::<K::Query>(key.borrow(), PAYLOAD).tags(tags.iter()).await;
        }
    });
    let entries = cache.stats().store.entries;
    ((manager, cache), entries)
}
