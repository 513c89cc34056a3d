//! Policies made of reuse tables against caches that are driven request by request.

use std::collections::HashMap;

use cache_enterprise_core::PolicyFactory;
use proptest::prelude::*;

use super::super::{Adaptive, Learned, Lru};
use super::*;

struct NoMarks;

impl HitMarks for NoMarks {
    fn take(&self, _: Slot) -> u8 {
        0
    }

    fn set(&self, _: Slot, _: u8) {}
}

/// A cache of one shard that holds no values.
pub(super) struct Shard<P: EvictionPolicy + ?Sized> {
    policy: Box<P>,
    slots: HashMap<u64, Slot>,
    free: Vec<Slot>,
    held: HashMap<Slot, (u64, u64)>,
    used: u64,
    capacity: u64,
}

impl<P: EvictionPolicy + ?Sized> Shard<P> {
    pub(super) fn new(policy: Box<P>, capacity: u64) -> Self {
        let free = (0..4_096).rev().map(Slot).collect();
        Self { policy, slots: HashMap::new(), free, held: HashMap::new(), used: 0, capacity }
    }

    /// Whether the key was in; if not, it was offered.
    pub(super) fn request(&mut self, key: u64) -> bool {
        self.request_as(&Candidate::new(spread(key), 1), key)
    }

    fn request_as(&mut self, candidate: &Candidate, key: u64) -> bool {
        if let Some(slot) = self.slots.get(&key) {
            self.policy.hit(*slot);
            return true;
        }
        self.policy.arrive(candidate);
        while self.used + candidate.weight > self.capacity {
            match self.policy.victim(Some(candidate), &NoMarks) {
                Verdict::Evict(slot) => self.leave(slot, RemovalCause::Evicted),
                Verdict::Refuse => return false,
            }
        }
        let slot = self.free.pop().expect("more slots than entries fit");
        self.slots.insert(key, slot);
        self.held.insert(slot, (key, candidate.weight));
        self.used += candidate.weight;
        self.policy.insert(slot, candidate);
        false
    }

    fn leave(&mut self, slot: Slot, cause: RemovalCause) {
        let (key, weight) = self.held.remove(&slot).expect("a verdict names a resident");
        self.slots.remove(&key);
        self.used -= weight;
        self.free.push(slot);
        self.policy.remove(slot, cause);
    }

    fn shrink(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.policy.resize(capacity);
        while self.used > capacity {
            match self.policy.victim(None, &NoMarks) {
                Verdict::Evict(slot) => self.leave(slot, RemovalCause::Evicted),
                Verdict::Refuse => panic!("there are residents to evict"),
            }
        }
    }
}

/// Keys as hashes, as a store would hand them in.
fn spread(key: u64) -> u64 {
    let mixed = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 31)
}

fn factories() -> [Box<dyn PolicyFactory>; 2] {
    [Box::new(Adaptive::default()), Box::new(Learned::default())]
}

#[test]
fn a_capacity_that_was_tiny_for_a_while_leaves_no_trace_in_what_is_expected() {
    let (capacity, entries) = (1 << 30, 1 << 20);
    let shape = PolicyShape::new(capacity, entries, 11);
    let mut policy = ReusePolicy::alone(learned(), &shape, Arc::default());
    for tiny in [1, 0, 700] {
        policy.resize(tiny);
        assert_eq!(policy.entries, ((tiny >> 10) as usize).max(1));
        policy.resize(capacity);
        assert_eq!(policy.entries, entries, "after {tiny}");
    }
    // One heavy entry in next to nothing says nothing of how many fit where there is much.
    policy.resize(1);
    policy.arrive(&Candidate::new(1, 4_096));
    policy.insert(Slot(0), &Candidate::new(1, 4_096));
    policy.victim(Some(&Candidate::new(2, 1)), &NoMarks);
    policy.hand_in();
    policy.resize(capacity);
    assert_eq!(policy.entries, (capacity / 4_096) as usize);
}

#[test]
fn a_newcomer_is_judged_by_its_own_past_though_another_came_since() {
    let shape = PolicyShape::new(100, 100, 11);
    let mut policy = ReusePolicy::alone(learned(), &shape, Arc::default());
    let [first, second] = [1, 2].map(|key| Candidate::new(spread(key), 1));
    let past_of = |policy: &ReusePolicy, slot| policy.residents.of(slot).map(|held| held.past);
    // The first was used three times before it left.
    policy.arrive(&first);
    policy.insert(Slot(0), &first);
    (0..2).for_each(|_| policy.hit(Slot(0)));
    policy.remove(Slot(0), RemovalCause::Evicted);
    policy.arrive(&first);
    let known = policy.newcomer.map(|(_, past)| past);
    // Other shards make room for it; meanwhile the second comes and goes in.
    policy.arrive(&second);
    policy.insert(Slot(1), &second);
    policy.insert(Slot(2), &first);
    assert_eq!(past_of(&policy, Slot(2)), known);
    // And where the second waits as well, the one is not taken for the other.
    policy.remove(Slot(2), RemovalCause::Evicted);
    policy.arrive(&first);
    let known = policy.newcomer;
    policy.arrive(&Candidate::new(spread(3), 1));
    policy.victim(Some(&first), &NoMarks);
    let name = Name::new(first.hash, shape.seed);
    let past = policy.newcomer.map_or_else(|| policy.history.take(name), |(_, past)| Some(past));
    assert_eq!(past, known.map(|(_, past)| past));
}

fn misses(factory: &dyn PolicyFactory, capacity: u64, keys: impl Iterator<Item = u64>) -> usize {
    let shape = PolicyShape::new(capacity, capacity as usize, 11);
    let mut shard = Shard::new(factory.create(&shape), capacity);
    keys.filter(|key| !shard.request(*key)).count()
}

/// A generator whose numbers a test can repeat (splitmix64).
pub(super) fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn keeps_a_part_of_a_loop_that_does_not_fit() {
    // The longest loop at which least-recently-used never hits; the best is 100 of 150.
    for factory in factories() {
        let missed = misses(&*factory, 100, (0..60_000).map(|at| at % 150));
        assert_eq!(misses(&Lru, 100, (0..60_000).map(|at| at % 150)), 60_000);
        assert!(missed < 27_000, "{} misses {missed} of 60000", factory.name());
    }
}

#[test]
fn a_scan_does_not_empty_it() {
    // 80 keys at random, and every other request a key that never comes back.
    let keys = || {
        let mut random = random(5);
        (0..60_000u64).map(move |at| if at % 2 == 0 { random() % 80 } else { 1_000 + at })
    };
    for factory in factories() {
        let missed = misses(&*factory, 100, keys());
        assert!(missed < 31_500, "{} misses {missed}", factory.name());
        assert!(missed < misses(&Lru, 100, keys()));
    }
}

#[test]
fn the_same_seed_chooses_the_same() {
    for factory in factories() {
        let mut random = random(9);
        let keys: Vec<u64> = (0..20_000).map(|_| random() % 30 * (random() % 30)).collect();
        let first = misses(&*factory, 50, keys.iter().copied());
        assert_eq!(first, misses(&*factory, 50, keys.iter().copied()));
    }
}

#[test]
fn what_is_dear_for_its_weight_stays() {
    // All keys are asked equally often; those of one kind are lighter, worth more, or slower to
    // load than those of the other.
    type Kind = fn(u64) -> Candidate;
    let kinds: [(&str, Kind); 3] = [
        ("weight", |hash| Candidate::new(hash, 1)),
        ("worth", |hash| Candidate::new(hash, 4).worth(8.0, 1)),
        ("load", |hash| Candidate::new(hash, 4).load_micros(80_000)),
    ];
    for (what, dear) in kinds {
        for factory in factories() {
            let shape = PolicyShape::new(200, 60, 3);
            let mut shard = Shard::new(factory.create(&shape), 200);
            let mut random = random(17);
            let mut hits = [0, 0];
            for _ in 0..60_000 {
                let key = random() % 200;
                let candidate = match key % 2 {
                    0 => dear(spread(key)),
                    _ => Candidate::new(spread(key), 4).load_micros(match what {
                        "load" => 1_000,
                        _ => 0,
                    }),
                };
                hits[key as usize % 2] += u32::from(shard.request_as(&candidate, key));
            }
            assert!(hits[0] > 2 * hits[1], "{} by {what}: {hits:?}", factory.name());
        }
    }
}

#[test]
fn falls_back_until_it_has_seen_enough() {
    let learned = Learned::default().min_data_points(10_000).expect("within the range");
    let mut shard = Shard::new(learned.create(&PolicyShape::new(50, 50, 1)), 50);
    for at in 0..5_000 {
        shard.request(at % 40);
    }
    assert!(learned.status().falls_back());
    for at in 0..20_000 {
        shard.request(at % 40);
    }
    assert!(!learned.status().falls_back());
    drop(shard);
    assert_eq!(learned.status().shards, 0);
}

#[test]
fn the_past_of_a_bounded_number_of_keys_is_known() {
    for (settings, most) in [(Adaptive::default().settings(), 4_096), (learned(), 8_192)] {
        for (entries, bound) in [(100, most), (4_000, 4_000 * settings.history)] {
            let shape = PolicyShape::new(entries as u64, entries, 1);
            let policy = Box::new(ReusePolicy::alone(settings, &shape, Arc::default()));
            let mut shard = Shard::new(policy, entries as u64);
            for key in 0..50_000 {
                shard.request(key % 40_000);
                let known = shard.policy.history.len() + shard.policy.residents.len();
                assert!(known <= bound, "{known} of {bound}");
            }
        }
    }
}

/// Requests to the shards of one store, each key to its own; the misses.
fn misses_of_store(
    factory: &dyn PolicyFactory,
    shards: u64,
    keys: impl Iterator<Item = u64>,
) -> usize {
    let shapes: Vec<_> = (0..shards).map(|seed| PolicyShape::new(150, 150, seed)).collect();
    let policies = factory.create_all(&shapes);
    let mut shards: Vec<_> = policies.into_iter().map(|policy| Shard::new(policy, 150)).collect();
    let count = shards.len() as u64;
    keys.filter(|key| !shards[(spread(*key) % count) as usize].request(*key)).count()
}

#[test]
fn shards_of_one_store_know_what_the_others_saw() {
    // The hot shard has learned that keys seen twice are worth keeping before the others began.
    for factory in factories() {
        let shapes: Vec<_> = (0..8).map(|seed| PolicyShape::new(150, 150, seed)).collect();
        let together = factory.create_all(&shapes);
        let alone: Vec<_> = shapes.iter().map(|shape| factory.create(shape)).collect();
        let [together, alone] = [together, alone].map(|policies| {
            let mut shards: Vec<_> =
                policies.into_iter().map(|policy| Shard::new(policy, 150)).collect();
            let mut random = random(29);
            let mut request = |shard: &mut Shard<dyn EvictionPolicy>, at: u64| {
                let key = if at.is_multiple_of(2) { random() % 120 } else { 1_000 + at };
                usize::from(!shard.request(key))
            };
            let (taught, untaught) = shards.split_at_mut(7);
            for at in 0..40_000 {
                request(&mut taught[at as usize % 7], at / 7);
            }
            (0..2_000).map(|at| request(&mut untaught[0], at)).sum::<usize>()
        });
        assert!(together < alone, "{}: {together} and {alone} misses", factory.name());
    }
}

#[test]
fn a_store_of_one_thread_chooses_the_same_each_time() {
    for factory in factories() {
        let keys = || {
            let mut random = random(31);
            (0..60_000).map(move |_| random() % 90 * (random() % 90))
        };
        let first = misses_of_store(&*factory, 4, keys());
        assert_eq!(first, misses_of_store(&*factory, 4, keys()));
        let one = misses(&*factory, 600, keys());
        assert!(first < one + one / 20, "{}: {first} misses, {one} of one shard", factory.name());
    }
}

fn learned() -> Settings {
    Learned::default().settings()
}

#[derive(Clone, Debug)]
enum Step {
    Request(u64, u64),
    Remove(u64),
    Update(u64, u64),
    Stray(u32),
    Resize(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..300u64, 1..9u64).prop_map(|(key, weight)| Step::Request(key, weight)),
        2 => (0..300u64).prop_map(Step::Remove),
        2 => (0..300u64, 1..9u64).prop_map(|(key, weight)| Step::Update(key, weight)),
        1 => any::<u32>().prop_map(Step::Stray),
        1 => (8..400u64).prop_map(Step::Resize),
    ];
    prop::collection::vec(step, 1..1_500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn knows_exactly_what_is_resident(steps in steps(), seed in any::<u64>(), full in any::<bool>()) {
        let settings = if full { learned() } else { Adaptive::default().settings() };
        let shape = PolicyShape::new(200, 50, seed);
        let mut shard = Shard::new(Box::new(ReusePolicy::alone(settings, &shape, Arc::default())), 200);
        for step in steps {
            match step {
                Step::Request(key, weight) => {
                    shard.request_as(&Candidate::new(spread(key), weight), key);
                }
                Step::Remove(key) => {
                    if let Some(slot) = shard.slots.get(&key).copied() {
                        shard.leave(slot, RemovalCause::Invalidated);
                    }
                }
                Step::Update(key, weight) => {
                    if let Some(slot) = shard.slots.get(&key) {
                        shard.policy.update(*slot, &Candidate::new(spread(key), weight));
                    }
                }
                // Late words on slots that hold nothing.
                Step::Stray(slot) => {
                    let slot = Slot(slot | 1 << 20);
                    shard.policy.hit(slot);
                    shard.policy.remove(slot, RemovalCause::Evicted);
                }
                Step::Resize(capacity) => shard.shrink(capacity),
            }
            prop_assert_eq!(shard.policy.residents.len(), shard.held.len());
            for (slot, (key, _)) in &shard.held {
                let resident = shard.policy.residents.of(*slot);
                let name = Name::new(spread(*key), seed);
                prop_assert_eq!(resident.map(|resident| resident.name), Some(name));
            }
        }
    }
}
