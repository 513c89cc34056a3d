//! Traces with planted associations, and without: the first are prefetched with precision and
//! coverage above their floors, on the others the gate keeps shut, and where associations end it
//! shuts again.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod seeded;

use std::collections::{HashMap, HashSet, VecDeque};

use cache_enterprise_strategies::predict::{GateStats, PrefetchBudget, Prefetcher};
use seeded::{Draws, Zipf};

const SEED: u64 = 0xa550_c1a7;
const NOISE_KEYS: usize = 20_000;
const CAPACITY: usize = 500;

#[derive(Clone, Copy)]
struct Request {
    hash: u64,
    /// Planted to follow another.
    is_follower: bool,
}

/// What a trace is made of.
#[derive(Clone, Copy)]
struct Plan {
    requests: usize,
    /// Groups of one leader and two followers.
    groups: usize,
    /// How many other requests come between leader and follower, at most.
    spread: usize,
    /// How often a follower does come.
    loyalty: f64,
    /// Of all requests, how many start a group.
    leaders: f64,
}

/// Zipf's law for the rest, which hides the groups.
fn trace(plan: Plan, seed: u64) -> Vec<Request> {
    let (mut draws, noise) = (Draws(seed), Zipf::new(NOISE_KEYS, 0.8));
    let mut planted: HashMap<usize, Vec<u64>> = HashMap::new();
    let mut trace = Vec::with_capacity(plan.requests);
    while trace.len() < plan.requests {
        let at = trace.len();
        if let Some(due) = planted.remove(&at) {
            trace.extend(due.into_iter().map(|hash| Request { hash, is_follower: true }));
            continue;
        }
        if plan.groups > 0 && draws.unit() < plan.leaders {
            let leader = 1_000_000 + draws.below(plan.groups) as u64 * 10;
            trace.push(Request { hash: leader, is_follower: false });
            for follower in [leader + 1, leader + 2] {
                if draws.unit() < plan.loyalty {
                    let due = at + 2 + draws.below(plan.spread);
                    planted.entry(due).or_default().push(follower);
                }
            }
        } else {
            let hash = 1 + noise.rank(&mut draws) as u64;
            trace.push(Request { hash, is_follower: false });
        }
    }
    trace
}

/// The least recently used leaves.
#[derive(Default)]
struct Lru {
    order: VecDeque<(u64, u64)>,
    used: HashMap<u64, u64>,
    now: u64,
}

impl Lru {
    fn touch(&mut self, hash: u64) -> bool {
        self.now += 1;
        let was_held = self.used.insert(hash, self.now).is_some();
        self.order.push_back((hash, self.now));
        while self.used.len() > CAPACITY {
            let (oldest, at) = self.order.pop_front().unwrap();
            if self.used.get(&oldest) == Some(&at) {
                self.used.remove(&oldest);
            }
        }
        was_held
    }

    fn holds(&self, hash: u64) -> bool {
        self.used.contains_key(&hash)
    }
}

struct Outcome {
    stats: GateStats,
    hits: f64,
    hits_without: f64,
    /// Of the followers that would have missed, how many were prefetched.
    coverage: f64,
    /// The last request at which the gate was open.
    last_open: usize,
}

fn replay(trace: &[Request]) -> Outcome {
    let mut prefetcher = Prefetcher::with_next_access(PrefetchBudget::default()).unwrap();
    let (mut with, mut without) = (Lru::default(), Lru::default());
    let (mut hits, mut hits_without) = (0_u32, 0_u32);
    let (mut missed, mut covered, mut last_open) = (0_u32, 0_u32, 0);
    let mut fetch = Vec::new();
    for (at, request) in trace.iter().enumerate() {
        let held_without = without.touch(request.hash);
        let held = with.touch(request.hash);
        hits += u32::from(held);
        hits_without += u32::from(held_without);
        fetch.clear();
        // A hundred requests a second.
        let now = at as u64 * 10;
        let was_prefetched =
            prefetcher.request(request.hash, now, 1_000, |hash| with.holds(hash), &mut fetch);
        if request.is_follower && !held_without {
            missed += 1;
            covered += u32::from(was_prefetched && held);
        }
        for hash in &fetch {
            with.touch(*hash);
        }
        if prefetcher.stats().is_open {
            last_open = at + 1;
        }
    }
    let share = |count: u32, of: u32| f64::from(count) / f64::from(of.max(1));
    Outcome {
        stats: prefetcher.stats(),
        hits: share(hits, trace.len() as u32),
        hits_without: share(hits_without, trace.len() as u32),
        coverage: share(covered, missed),
        last_open,
    }
}

fn print(title: &str, outcome: &Outcome) {
    println!(
        "{title} (seed {SEED:#x}): precision {:.2}, coverage {:.2}, hits {:.1} % instead of {:.1} %, \
         {} prefetched, open until request {}",
        outcome.stats.precision(),
        outcome.coverage,
        outcome.hits * 100.0,
        outcome.hits_without * 100.0,
        outcome.stats.fetched,
        outcome.last_open,
    );
}

const PLANTED: Plan =
    Plan { requests: 120_000, groups: 300, spread: 1, loyalty: 0.9, leaders: 0.1 };

#[test]
fn planted_associations_are_prefetched() {
    for (title, spread) in [("right after", 1), ("within 20 requests", 20), ("within 60", 60)] {
        let outcome = replay(&trace(Plan { spread, ..PLANTED }, SEED));
        print(title, &outcome);
        assert!(outcome.stats.precision() >= 0.6, "the bar for precision");
        assert!(outcome.coverage >= 0.5, "the bar for coverage");
        assert!(outcome.hits > outcome.hits_without);
    }
}

#[test]
fn without_associations_the_gate_is_shut_within_2_000_requests() {
    for exponent_seed in 0..3 {
        let outcome = replay(&trace(Plan { groups: 0, ..PLANTED }, SEED + exponent_seed));
        print("without associations", &outcome);
        assert!(outcome.last_open <= 2_000, "open at request {}", outcome.last_open);
        assert!(outcome.hits >= outcome.hits_without - 0.002);
    }
}

#[test]
fn where_associations_end_the_gate_shuts() {
    let mut requests = trace(Plan { requests: 60_000, ..PLANTED }, SEED);
    let ended = requests.len();
    // The leaders still come, in other company each time.
    let mut draws = Draws(SEED);
    let later = trace(Plan { requests: 60_000, ..PLANTED }, SEED + 1);
    requests.extend(later.into_iter().map(|request| {
        let hash =
            if request.is_follower { 5_000_000 + draws.bits() % 1_000_000 } else { request.hash };
        Request { hash, is_follower: false }
    }));
    let outcome = replay(&requests);
    print("associations that end at request 60 000", &outcome);
    assert!(outcome.last_open > 10_000 && outcome.last_open <= ended + 4_000);
    assert!(outcome.stats.closed >= 1);
}

#[test]
fn guesses_name_keys_that_were_asked_for() {
    let requests = trace(Plan { requests: 20_000, ..PLANTED }, SEED);
    let asked: HashSet<u64> = requests.iter().map(|request| request.hash).collect();
    let mut prefetcher = Prefetcher::with_next_access(PrefetchBudget::default()).unwrap();
    let mut fetch = Vec::new();
    for request in &requests {
        prefetcher.request(request.hash, 0, 0, |_| false, &mut fetch);
    }
    assert!(!fetch.is_empty() && fetch.iter().all(|hash| asked.contains(hash)));
}
