//! Wall time of single hits with two threads reading: p99.9.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::keys::{BenchKey, Payload, seed_of, zipf};
use crate::peers::{Ours, Peer, check_hits};
use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Case, Round, interleave, whole};

const KEYS: usize = 100_000;
const OPERATIONS: usize = 200_000;
const THREADS: usize = 2;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    tail::<String>(report, rounds)?;
    tail::<u64>(report, rounds)
}

fn tail<K: BenchKey>(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    let bench = format!("hit p99.9, {}, 100k keys, 2 threads", K::KIND);
    progress(&bench);
    let mut streams = Vec::new();
    for thread in 0..THREADS {
        streams.push(K::stream(&zipf(KEYS as u64, OPERATIONS, seed_of(thread))?));
    }
    let streams: Arc<[K::Stream]> = streams.into();
    let series = whole(interleave(
        vec![
            case::<K, Ours<K>>(&streams),
            case::<K, quick_cache::sync::Cache<K, Arc<Payload>>>(&streams),
            case::<K, moka::future::Cache<K, Arc<Payload>>>(&streams),
        ],
        rounds,
    ))?;
    let (ours, peers) = series.split_first().ok_or("no case was measured")?;
    for peer in peers {
        let bar = (peer.name == "quick_cache").then_some(4);
        let place = Place { bar, group: "l1", bench: &bench, unit: "ns wall" };
        report.line(&Line::ratio(place, ours, peer))?;
    }
    Ok(())
}

fn case<K: BenchKey, P: Peer<K>>(streams: &Arc<[K::Stream]>) -> Case<Round> {
    let streams = Arc::clone(streams);
    Case::new(P::NAME, move || {
        let peer = P::with_capacity(KEYS * 2);
        (0..KEYS as u64).for_each(|number| peer.put(K::numbered(number), number));
        let mut times: Vec<u64> = thread::scope(|scope| {
            let readers: Vec<_> = streams
                .iter()
                .map(|stream| scope.spawn(|| time_each::<K, P>(&peer, stream)))
                .collect();
            let done = readers.into_iter().map(|reader| reader.join().expect("no reader panics"));
            done.flatten().collect()
        });
        check_hits::<K>(KEYS as u64, |key| peer.holds(key))?;
        let rank = times.len() * 999 / 1_000;
        Ok(*times.select_nth_unstable(rank).1 as f64)
    })
}

/// Nanoseconds of each hit, the clock's own included, as for every peer.
fn time_each<K: BenchKey, P: Peer<K>>(peer: &P, stream: &K::Stream) -> Vec<u64> {
    peer.read_all(stream, 1);
    let mut times = Vec::with_capacity(OPERATIONS);
    for key in K::queries(stream) {
        let begun = Instant::now();
        peer.read(key);
        times.push(begun.elapsed().as_nanos() as u64);
    }
    times
}
