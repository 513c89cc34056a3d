//! A composite does what its members do, each by its share.

use std::collections::HashSet;

use cache_enterprise_core::{Candidate, PolicyFactory, PolicyShape, Recording, Slot, Verdict};
use cache_enterprise_strategies::eviction::{Composite, Fifo, Lru, TtlFirst, resolve};
use proptest::prelude::*;

use crate::driver::{Line, Plain, Thing, agree, steps};

/// FIFO and LRU with votes of 1 and 0.5: the second decides one time in three, unless both name
/// the same entry.
#[derive(Default)]
struct PlainVote {
    by_arrival: Line,
    by_use: Line,
    votes: [f64; 2],
}

impl Plain for PlainVote {
    fn hit(&mut self, hash: u64) {
        let thing = self.by_use.take(hash).unwrap();
        self.by_use.push(thing);
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        let named = [self.by_arrival.oldest()?, self.by_use.oldest()?];
        self.votes[0] += 1.0;
        self.votes[1] += 0.5;
        if named[0] == named[1] {
            self.votes = [0.0; 2];
            return Some(named[0]);
        }
        let winner = usize::from(self.votes[1] > self.votes[0]);
        self.votes[winner] = 0.0;
        Some(named[winner])
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.by_arrival.push(Thing::new(newcomer));
        self.by_use.push(Thing::new(newcomer));
    }

    fn update(&mut self, candidate: &Candidate) {
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.by_arrival.take(hash);
        self.by_use.take(hash);
    }
}

/// What the policy of this name lets go, in order.
fn victims(name: &str, steps: &[crate::driver::Step]) -> Vec<Slot> {
    let factory = resolve(name).unwrap();
    crate::robust::victims(&*factory, 16, steps)
}

proptest! {
    #[test]
    fn the_order_of_the_list_is_the_rank(steps in steps(4, true)) {
        let members: [std::sync::Arc<dyn PolicyFactory>; 2] =
            [std::sync::Arc::new(Fifo), std::sync::Arc::new(Lru)];
        let composite = Composite::new(members).unwrap();
        agree(&composite, &mut PlainVote::default(), 16, &steps);
    }

    /// Marks, notes of hits and silence all reach a member as they would reach it alone.
    #[test]
    fn twins_decide_as_one_of_them_alone(
        steps in steps(1, false),
        name in prop::sample::select(vec!["fifo", "lru", "clock", "sieve", "s3-fifo", "arc", "lirs"]),
    ) {
        prop_assert_eq!(victims(&format!("{name}+{name}"), &steps), victims(name, &steps));
    }
}

#[test]
fn a_composite_of_the_deaf_asks_for_no_hits() {
    let shape = PolicyShape::new(4, 4, 1);
    for (name, recording) in [("fifo+ttl", Recording::Nothing), ("fifo+clock", Recording::Queue)] {
        assert_eq!(resolve(name).unwrap().create(&shape).recording(), recording, "{name}");
    }
}

#[test]
fn every_shard_gets_all_members() {
    let shapes = [PolicyShape::new(4, 4, 1), PolicyShape::new(4, 4, 2), PolicyShape::new(4, 4, 3)];
    for name in ["fifo+ttl", "lru+adaptive", "learned+fifo"] {
        let factory = resolve(name).unwrap();
        let together = factory.create_all(&shapes);
        assert_eq!(together.len(), shapes.len());
        for (policy, shape) in together.iter().zip(&shapes) {
            assert_eq!(policy.recording(), factory.create(shape).recording(), "{name}");
        }
    }
}

#[test]
fn weights_divide_the_victims_where_nobody_agrees() {
    let members: [(std::sync::Arc<dyn PolicyFactory>, f64); 2] =
        [(std::sync::Arc::new(Fifo), 3.0), (std::sync::Arc::new(TtlFirst), 1.0)];
    let factory = Composite::weighted(members).unwrap();
    let mut policy = factory.create(&PolicyShape::new(100, 100, 1));
    // The last to come ends first: the members never agree until the middle.
    for at in 0..100 {
        let candidate = Candidate::new(u64::from(at), 1).ends_at(Some(1_000 - u64::from(at)));
        policy.insert(Slot(at), &candidate);
    }
    let mut left = HashSet::new();
    for _ in 0..40 {
        let Verdict::Evict(slot) = policy.victim(None, &crate::robust::NoMarks) else {
            panic!("a full cache has a victim");
        };
        policy.remove(slot, cache_enterprise_core::RemovalCause::Evicted);
        left.insert(slot.0);
    }
    let early = left.iter().filter(|slot| **slot < 50).count();
    assert_eq!((early, left.len() - early), (30, 10));
}
