//! Within one process: tags and tenants on hits, invalidations beside them, and one invalidation of
//! few and of many entries.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cache_enterprise_core::{Capacity, hours, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on};

use crate::keys::{BenchKey, PAYLOAD, Payload, zipf};
use crate::peers::check_hits;
use crate::report::{Report, progress};
use crate::rounds::{Case, Round, cpu_ns_each, interleave, whole};

use super::print;

/// Tags that entries carry, and tags that nobody carries.
const TAGS: u64 = 64;

/// Hits that are timed singly in one round.
const TIMED_HITS: usize = 400_000;

/// Entries that carry one tag: few, and as many as bar 17 asks for.
const FEW: u64 = 1_000;
const MANY: u64 = 10_000_000;

/// What an entry of a number takes, roughly, with room for what its store remembers.
const ENTRY_BYTES: u64 = 320;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    tagged_hits::<String>(report, rounds, 100_000, 2)?;
    tagged_hits::<String>(report, rounds, 4_000, 24)?;
    tagged_hits::<u64>(report, rounds, 100_000, 2)?;
    hits_beside_invalidations(report, rounds)?;
    one_tag(report, rounds)
}

/// A cache with all keys resident.
struct Filled<K: BenchKey> {
    cache: Cache<K, Payload>,
    manager: CacheManager,
}

impl<K: BenchKey> Filled<K> {
    fn new(keys: u64, is_tagged: bool) -> Self {
        let spec: CacheSpec<K, Payload> = CacheSpec::new("bench").ttl(hours(1));
        let manager = CacheManager::in_memory(Capacity::entries(keys * 2))
            .expect("the capacity is above zero and a thread can be had");
        let manager = match is_tagged {
            true => manager.tenant("acme").expect("the name is a legal tenant"),
            false => manager,
        };
        let cache = manager.open(&spec).expect("the spec has a life");
        for number in 0..keys {
            let tags = is_tagged.then(|| tag!("group:{}", number % TAGS));
            let key = K::numbered(number);
            block_on(async { cache.set(key.borrow(), PAYLOAD).tags(tags).await });
        }
        Self { cache, manager }
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

    fn check_hits(&self, keys: u64) -> Result<(), Box<dyn Error>> {
        let is_hit = |key: &K::Query| matches!(block_on(self.cache.get(key)), Ok(Some(_)));
        check_hits::<K>(keys, is_hit)
    }
}

/// The same hits with a tag and a tenant of their own, and without.
fn tagged_hits<K: BenchKey>(
    report: &mut Report,
    rounds: usize,
    keys: u64,
    passes: usize,
) -> Result<(), Box<dyn Error>> {
    let bench = format!("hit with tag and tenant, {}, {}k keys", K::KIND, keys / 1_000);
    progress(&bench);
    let operations = if keys > 10_000 { 1 << 18 } else { 1 << 14 };
    let stream = Arc::new(K::stream(&zipf(keys, operations, 2)?));
    let case = |name, is_tagged| {
        let stream = Arc::clone(&stream);
        Case::new(name, move || -> Round {
            let filled = Filled::<K>::new(keys, is_tagged);
            filled.read_all(&stream, 1);
            let cost = cpu_ns_each(operations * passes, || filled.read_all(&stream, passes));
            filled.check_hits(keys)?;
            Ok(cost)
        })
    };
    let series = whole(interleave(vec![case("tagged", true), case("untagged", false)], rounds))?;
    print(report, Some(15), &bench, "ns cpu/op", &series)
}

/// The median wait for a hit while other tags are invalidated a thousand times a second.
fn hits_beside_invalidations(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    let bench = "hit p50 beside 1000 tag invalidations/s, String24, 4k keys";
    progress(bench);
    let stream = Arc::new(String::stream(&zipf(4_000, TIMED_HITS, 5)?));
    let case = |name, is_disturbed: bool| {
        let stream = Arc::clone(&stream);
        Case::new(name, move || -> Round {
            let filled = Filled::<String>::new(4_000, true);
            filled.read_all(&stream, 1);
            let is_over = AtomicBool::new(!is_disturbed);
            let median = thread::scope(|scope| {
                scope.spawn(|| invalidate_others(&filled.manager, &is_over));
                let median = median_wait(&filled.cache, &stream);
                is_over.store(true, Ordering::Relaxed);
                median
            });
            filled.check_hits(4_000)?;
            Ok(median)
        })
    };
    let cases = vec![case("disturbed", true), case("undisturbed", false)];
    let series = whole(interleave(cases, rounds))?;
    print(report, Some(16), bench, "ns wall", &series)
}

/// Ends tags that no entry carries, one a millisecond.
fn invalidate_others(manager: &CacheManager, is_over: &AtomicBool) {
    let (begun, mut ended) = (Instant::now(), 0_u64);
    while !is_over.load(Ordering::Relaxed) {
        // As many as are due: a sleep may last longer than it was asked to.
        while ended < begun.elapsed().as_millis() as u64 {
            let other = tag!("other:{}", ended % TAGS);
            block_on(async { manager.invalidate(other).await });
            ended += 1;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn median_wait(cache: &Cache<String, Payload>, stream: &String) -> f64 {
    let mut waits = Vec::with_capacity(TIMED_HITS);
    block_on(async {
        for key in String::queries(stream) {
            let begun = Instant::now();
            let _ = black_box(cache.get(key).await);
            waits.push(begun.elapsed().as_nanos() as u64);
        }
    });
    let middle = waits.len() / 2;
    *waits.select_nth_unstable(middle).1 as f64
}

/// One invalidation of a tag that few entries carry, and of one that many do.
fn one_tag(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    const OPERATIONS: usize = 100_000;
    let many = MANY.min(memory_available()? / 2 / ENTRY_BYTES);
    let bench = format!("invalidate a tag of {many} entries, beside one of {FEW}");
    progress(&bench);
    // Filled once and kept: an invalidation leaves the entries where they are, and to put them in
    // takes longer than all rounds. So both managers live through all rounds, and CPU time is that
    // of the process: the ticker's turns for the many are charged to the few too, and the ratio
    // holds what the caller pays alone.
    let case = |name, entries: u64| -> Result<Case, Box<dyn Error>> {
        let spec: CacheSpec<u64, u64> = CacheSpec::new("bench").ttl(hours(1));
        let manager = CacheManager::in_memory(Capacity::entries(entries * 2))?;
        let cache = manager.open(&spec)?;
        block_on(async {
            for number in 0..entries {
                cache.set(&number, number).tags([tag!("all")]).await;
            }
        });
        let held = cache.len() as u64;
        if held < entries {
            return Err(format!("{held} of {entries} entries were kept").into());
        }
        Ok(Case::new(name, move || {
            let _kept = &cache;
            cpu_ns_each(OPERATIONS, || {
                block_on(async {
                    for _ in 0..OPERATIONS {
                        let _ = black_box(manager.invalidate(tag!("all")).await);
                    }
                });
            })
        }))
    };
    let series = interleave(vec![case("many entries", many)?, case("few entries", FEW)?], rounds);
    print(report, Some(17), &bench, "ns cpu/op", &series)
}

/// Bytes that can be had without swapping.
fn memory_available() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.ok_or("the memory at hand is not told")? * 1_024)
}
