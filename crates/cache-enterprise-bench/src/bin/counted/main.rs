//! Bars 5, 7 and 18: what a hit allocates, what an entry costs beside its value, and what is left
//! of keys and tags that come and go.
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
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use allocation_counter::measure;
use cache_enterprise_core::{Capacity, Clock, hours, tag};
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
        Some("coherence") => metadata(),
        _ => Err("counted takes one group, `l1`, `memory` or `coherence`".into()),
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

/// Keys that come and go, each with a tag of its own: one is removed, the tag of the next is
/// invalidated, and so on.
fn rotate(manager: &CacheManager, cache: &Cache<u64, u64>, clock: &Clock, keys: Range<u64>) {
    block_on(async {
        for key in keys {
            let label = tag!("key:{key}");
            cache.set(&key, key).tags([label.clone()]).await;
            if key % 2 == 0 {
                manager.invalidate(label).await;
            } else {
                cache.remove(&key).await;
            }
            if key % 1_000 == 0 {
                clock.advance(Duration::from_secs(1));
                manager.tick();
            }
        }
    });
}

/// The most bytes that live at once while a million keys rotate, against the most before: tags
/// that were invalidated are remembered up to a bound, which the first keys reach.
fn metadata() -> Result<(), Box<dyn Error>> {
    static SPEC: CacheSpec<u64, u64> = CacheSpec::new("rotating").ttl(hours(1));
    const SETTLED: u64 = 400_000;
    const KEYS: u64 = 1_000_000;
    let mut filled = None;
    let before = measure(|| {
        let clock = Clock::manual();
        let builder = CacheManager::builder("counted").l1(Capacity::entries(10_000));
        let manager = builder.clock(clock.clone()).build_in_memory().expect("room is given");
        let cache = manager.open(&SPEC).expect("a life is given");
        rotate(&manager, &cache, &clock, 0..SETTLED);
        filled = Some((manager, cache, clock));
    });
    let (manager, cache, clock) = filled.ok_or("the cache was not filled")?;
    let more = measure(|| rotate(&manager, &cache, &clock, SETTLED..SETTLED + KEYS));
    let most = (before.bytes_current + more.bytes_max as i64) as f64;
    let bench = "most live bytes over 1M rotating keys and tags, after 400k";
    print(
        Some(18),
        "coherence",
        bench,
        Some("earlier"),
        (most, Some(before.bytes_max as f64)),
        "bytes",
    )
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
