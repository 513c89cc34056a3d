//! What prefetching would do to a trace: `zstd -d NAME.ctr.zst -o FILE`, then
//! `cargo run --release -p cache-enterprise-strategies --example prefetch_replay -- FILE...`.
//!
//! Replays the first 600 000 requests of each file of 16-byte records (time `u32`, key `u64`, size
//! `u32`, little-endian) through an LRU cache of a hundredth and of a tenth of the keys, with and
//! without a prefetcher whose budget is not bounded. Without files it replays a trace of its own,
//! in which every key is followed by the same other.
#![allow(clippy::print_stdout)]

use std::collections::{HashMap, HashSet, VecDeque};

use cache_enterprise_core::{Error, ErrorKind, Result};
use cache_enterprise_strategies::predict::{PrefetchBudget, Prefetcher};

/// As many as the table in docs/learning.md is of.
const REQUESTS_MAX: usize = 600_000;

const RECORD_BYTES: usize = 16;

/// What a file begins with that `zstd -d` has not been through.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The least recently used leaves. Keys are queued again at each use; old places are passed over.
struct Lru {
    capacity: usize,
    used_at: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
    now: u64,
}

impl Lru {
    fn new(capacity: usize) -> Self {
        Self { capacity, used_at: HashMap::new(), order: VecDeque::new(), now: 0 }
    }

    fn touch(&mut self, key: u64) -> bool {
        self.now += 1;
        let was_held = self.used_at.insert(key, self.now).is_some();
        self.order.push_back((key, self.now));
        while self.used_at.len() > self.capacity {
            let Some((oldest, at)) = self.order.pop_front() else { break };
            if self.used_at.get(&oldest) == Some(&at) {
                self.used_at.remove(&oldest);
            }
        }
        was_held
    }
}

fn replay(name: &str, keys: &[u64]) -> Result<()> {
    let unique = keys.iter().collect::<HashSet<_>>().len();
    for fraction in [0.01, 0.1] {
        let capacity = ((unique as f64 * fraction) as usize).max(32);
        let (mut with, mut without) = (Lru::new(capacity), Lru::new(capacity));
        let budget =
            PrefetchBudget { per_second: 1e6, bytes_per_second: 1e12, ..PrefetchBudget::default() };
        let mut prefetcher = Prefetcher::with_next_access(budget)?;
        let (mut hits, mut hits_without, mut fetch) = (0_u32, 0_u32, Vec::new());
        for (at, key) in keys.iter().enumerate() {
            hits_without += u32::from(without.touch(*key));
            hits += u32::from(with.touch(*key));
            fetch.clear();
            let holds = |key| with.used_at.contains_key(&key);
            prefetcher.request(*key, at as u64, 1, holds, &mut fetch);
            for key in &fetch {
                with.touch(*key);
            }
        }
        let percent = |hits: u32| f64::from(hits) * 100.0 / keys.len() as f64;
        println!(
            "{name}, {capacity} of {unique} keys: hits {:.1} % instead of {:.1} %, {:.1} % of \
             requests prefetched, {:.0} % of that used",
            percent(hits),
            percent(hits_without),
            percent(prefetcher.stats().fetched as u32),
            prefetcher.stats().precision() * 100.0
        );
    }
    Ok(())
}

/// The keys of a file's first requests.
fn read(file: &str) -> Result<Vec<u64>> {
    let bytes = std::fs::read(file)?;
    let refuse = |why| Err(Error::new(ErrorKind::InvalidInput, why).with("file", file));
    if bytes.starts_with(&ZSTD_MAGIC) {
        return refuse("the trace is still packed: unpack it with `zstd -d`");
    }
    if bytes.is_empty() || bytes.len() % RECORD_BYTES != 0 {
        return refuse("a trace is records of 16 bytes, and this is not a whole number of them");
    }
    let records = bytes.chunks_exact(RECORD_BYTES).take(REQUESTS_MAX);
    Ok(records.filter_map(|record| record[4..12].try_into().ok().map(u64::from_le_bytes)).collect())
}

fn main() -> Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    for file in &files {
        replay(file, &read(file)?)?;
    }
    if files.is_empty() {
        let keys: Vec<u64> = (0..50_000).map(|at| (at * 7_919) % 4_999).collect();
        replay("a walk in circles", &keys)?;
    }
    Ok(())
}
