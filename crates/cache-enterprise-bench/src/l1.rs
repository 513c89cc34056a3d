//! CPU time of hits and of get-or-load in level 1.

use std::error::Error;
use std::sync::Arc;

use crate::keys::{BenchKey, Payload, zipf};
use crate::peers::{Ours, Peer, check_hits};
use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Case, Round, Series, cpu_ns_each, interleave, whole};

type Quick<K> = quick_cache::sync::Cache<K, Arc<Payload>>;
type MokaSync<K> = moka::sync::Cache<K, Arc<Payload>>;
type MokaFuture<K> = moka::future::Cache<K, Arc<Payload>>;
type MiniMoka<K> = mini_moka::sync::Cache<K, Arc<Payload>>;
type Foyer<K> = foyer_memory::Cache<K, Arc<Payload>>;
type Cached<K> = cached::ShardedLruCache<K, Arc<Payload>>;

/// Keys of the get-or-load mix, and how many of them fit.
const MIX_KEYS: u64 = 1_000_000;
const MIX_CAPACITY: usize = 100_000;
const MIX_OPERATIONS: usize = 400_000;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    hits::<String>(report, rounds, &Size { keys: 100_000, passes: 2, bar: Some(1) })?;
    hits::<String>(report, rounds, &Size { keys: 4_000, passes: 24, bar: Some(2) })?;
    hits::<u64>(report, rounds, &Size { keys: 100_000, passes: 2, bar: Some(14) })?;
    hits::<u64>(report, rounds, &Size { keys: 4_000, passes: 24, bar: None })?;
    mix::<u64>(report, rounds)?;
    mix::<String>(report, rounds)
}

struct Size {
    keys: usize,
    passes: usize,
    bar: Option<u8>,
}

/// All keys are resident; one thread asks for them by Zipf 0.99.
fn hits<K: BenchKey>(
    report: &mut Report,
    rounds: usize,
    size: &Size,
) -> Result<(), Box<dyn Error>> {
    let bench = format!("hit, {}, {}k keys", K::KIND, size.keys / 1_000);
    progress(&bench);
    // The stream of the small working set is short, so that it stays in cache beside it.
    let operations = if size.keys > 10_000 { 1 << 18 } else { 1 << 14 };
    let stream = Arc::new(K::stream(&zipf(size.keys as u64, operations, 2)?));
    let passes = size.passes;
    let keys = size.keys;
    let series = whole(interleave(
        vec![
            hit_case::<K, Ours<K>>(&stream, keys, operations, passes),
            hit_case::<K, Quick<K>>(&stream, keys, operations, passes),
            hit_case::<K, MokaSync<K>>(&stream, keys, operations, passes),
            hit_case::<K, MokaFuture<K>>(&stream, keys, operations, passes),
            hit_case::<K, MiniMoka<K>>(&stream, keys, operations, passes),
            hit_case::<K, Foyer<K>>(&stream, keys, operations, passes),
            hit_case::<K, Cached<K>>(&stream, keys, operations, passes),
        ],
        rounds,
    ))?;
    let bar_of = |peer: &str| match peer {
        "quick_cache" => size.bar,
        "moka future" if K::KIND == "String24" => Some(3),
        _ => None,
    };
    print(report, &bench, "ns cpu/op", &series, bar_of)
}

fn hit_case<K: BenchKey, P: Peer<K>>(
    stream: &Arc<K::Stream>,
    keys: usize,
    operations: usize,
    passes: usize,
) -> Case<Round> {
    let stream = Arc::clone(stream);
    Case::new(P::NAME, move || {
        // Twice the room: no shard of anybody's evicts.
        let peer = P::with_capacity(keys * 2);
        (0..keys as u64).for_each(|number| peer.put(K::numbered(number), number));
        peer.read_all(&stream, 1);
        let cost = cpu_ns_each(operations * passes, || peer.read_all(&stream, passes));
        check_hits::<K>(keys as u64, |key| peer.holds(key))?;
        Ok(cost)
    })
}

/// What a round of the mix showed.
struct Mixed {
    cost: f64,
    hits: f64,
}

/// A million keys, room for a tenth: what is missed is loaded, by a loader that only copies. The
/// shares of hits are told beside the costs: who keeps what is asked for loads less.
fn mix<K: BenchKey>(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    let bench = format!("get-or-load mix, {}, 1M keys, capacity 100k", K::KIND);
    progress(&bench);
    let warm = Arc::new(K::stream(&zipf(MIX_KEYS, MIX_OPERATIONS, 3)?));
    let stream = Arc::new(K::stream(&zipf(MIX_KEYS, MIX_OPERATIONS, 4)?));
    let series = interleave(
        vec![
            mix_case::<K, Ours<K>>(&warm, &stream),
            mix_case::<K, Quick<K>>(&warm, &stream),
            mix_case::<K, MokaSync<K>>(&warm, &stream),
            mix_case::<K, MokaFuture<K>>(&warm, &stream),
            mix_case::<K, MiniMoka<K>>(&warm, &stream),
            mix_case::<K, Foyer<K>>(&warm, &stream),
            mix_case::<K, Cached<K>>(&warm, &stream),
        ],
        rounds,
    );
    let costs = each(&series, |mixed| mixed.cost);
    print(report, &bench, "ns cpu/op", &costs, |peer| (peer == "quick_cache").then_some(6))?;
    let hits = each(&series, |mixed| mixed.hits);
    print(report, &format!("{bench}: hits"), "share of hits", &hits, |_| None)
}

fn each(series: &[Series<Mixed>], figure: impl Fn(&Mixed) -> f64) -> Vec<Series> {
    series.iter().map(|series| series.map(&figure)).collect()
}

fn mix_case<K: BenchKey, P: Peer<K>>(
    warm: &Arc<K::Stream>,
    stream: &Arc<K::Stream>,
) -> Case<Mixed> {
    let (warm, stream) = (Arc::clone(warm), Arc::clone(stream));
    Case::new(P::NAME, move || {
        let peer = P::with_capacity(MIX_CAPACITY);
        peer.load_all(&warm);
        let mut loads = 0;
        let cost = cpu_ns_each(MIX_OPERATIONS, || loads = peer.load_all(&stream));
        Mixed { cost, hits: 1.0 - loads as f64 / MIX_OPERATIONS as f64 }
    })
}

/// Ours is the first series; one line for each other.
fn print(
    report: &mut Report,
    bench: &str,
    unit: &str,
    series: &[Series],
    bar_of: impl Fn(&str) -> Option<u8>,
) -> Result<(), Box<dyn Error>> {
    let (ours, peers) = series.split_first().ok_or("no case was measured")?;
    for peer in peers {
        let place = Place { bar: bar_of(&peer.name), group: "l1", bench, unit };
        report.line(&Line::ratio(place, ours, peer))?;
    }
    Ok(())
}
