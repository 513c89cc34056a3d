//! What came right after a key, and after two keys.
//!
//! A Markov chain of order two that backs off to order one (K. Curewitz, P. Krishnan and J.
//! Vitter, "Practical prefetching via data compression", SIGMOD 1993), in tables that never grow:
//! a context keeps its four most frequent successors by the space-saving rule, and of four
//! contexts in a bucket the least recently seen gives way.

use crate::hash;

use super::Guess;

const WAYS: usize = 4;
const SUCCESSORS: usize = 4;

/// A context speaks from so many visits on.
const LEAST_VISITS: u16 = 3;

#[derive(Clone, Copy, Debug, Default)]
struct Successor {
    hash: u64,
    count: u16,
    /// What of the count is inherited from a successor that gave way.
    inherited: u16,
}

/// One context: 80 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    /// Never 0 in use.
    hash: u64,
    visits: u16,
    seen: u32,
    successors: [Successor; SUCCESSORS],
}

/// Successors by context.
#[derive(Debug)]
pub(super) struct Successions {
    contexts: Box<[Context]>,
    now: u32,
    last: u64,
    before_last: u64,
}

impl Successions {
    /// Room for at least `contexts`.
    pub(super) fn new(contexts: usize) -> Self {
        let buckets = contexts.div_ceil(WAYS).next_power_of_two();
        let contexts = vec![Context::default(); buckets * WAYS].into_boxed_slice();
        Self { contexts, now: 0, last: 0, before_last: 0 }
    }

    pub(super) fn observe(&mut self, hash: u64) {
        self.now = self.now.wrapping_add(1);
        if self.last != 0 {
            self.teach(order_one(self.last), hash);
        }
        if self.before_last != 0 {
            self.teach(order_two(self.before_last, self.last), hash);
        }
        (self.before_last, self.last) = (self.last, hash);
    }

    /// What follows the last key: by the last two keys where they were seen often enough.
    pub(super) fn predict(&self, guesses: &mut Vec<Guess>) {
        let before = guesses.len();
        self.speak(order_two(self.before_last, self.last), guesses);
        if guesses.len() == before {
            self.speak(order_one(self.last), guesses);
        }
    }

    fn speak(&self, context: u64, guesses: &mut Vec<Guess>) {
        let Some(found) = self.bucket(context).find(|at| self.contexts[*at].hash == context) else {
            return;
        };
        let context = &self.contexts[found];
        if context.visits < LEAST_VISITS {
            return;
        }
        let sure = |successor: &&Successor| successor.count > successor.inherited + 1;
        guesses.extend(context.successors.iter().filter(sure).map(|successor| {
            let count = f32::from(successor.count - successor.inherited);
            Guess::new(successor.hash, count / f32::from(context.visits))
        }));
    }

    fn teach(&mut self, context: u64, successor: u64) {
        let (now, bucket) = (self.now, self.bucket(context));
        let found = bucket.clone().find(|at| self.contexts[*at].hash == context);
        let at = found.unwrap_or_else(|| {
            let age = |at: &usize| now.wrapping_sub(self.contexts[*at].seen);
            let oldest = bucket.max_by_key(|at| (self.contexts[*at].hash == 0, age(at)));
            let oldest = oldest.expect("a bucket has contexts");
            self.contexts[oldest] = Context { hash: context, ..Context::default() };
            oldest
        });
        let context = &mut self.contexts[at];
        context.seen = now;
        context.count(successor);
    }

    fn bucket(&self, context: u64) -> std::ops::Range<usize> {
        let buckets = self.contexts.len() / WAYS;
        let first = (hash::mix(context) as usize & (buckets - 1)) * WAYS;
        first..first + WAYS
    }
}

impl Context {
    fn count(&mut self, successor: u64) {
        if self.visits == u16::MAX {
            self.visits /= 2;
            for known in &mut self.successors {
                (known.count, known.inherited) = (known.count / 2, known.inherited / 2);
            }
        }
        self.visits += 1;
        if let Some(known) = self.successors.iter_mut().find(|known| known.is(successor)) {
            known.count += 1;
            return;
        }
        let least = self.successors.iter_mut().min_by_key(|known| known.count);
        let least = least.expect("a context has successors");
        *least = Successor { hash: successor, count: least.count + 1, inherited: least.count };
    }
}

impl Successor {
    fn is(&self, hash: u64) -> bool {
        self.hash == hash && self.count > 0
    }
}

fn order_one(last: u64) -> u64 {
    hash::mix(last) | 1
}

fn order_two(before_last: u64, last: u64) -> u64 {
    hash::pair(before_last, last) | 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guesses(successions: &Successions) -> Vec<(u64, f32)> {
        let mut guesses = Vec::new();
        successions.predict(&mut guesses);
        guesses.iter().map(|guess| (guess.hash, guess.confidence)).collect()
    }

    #[test]
    fn two_keys_say_more_than_one() {
        let mut successions = Successions::new(64);
        // After 5 comes 6 or 7, by what came before it.
        for _ in 0..10 {
            for hash in [1, 5, 6, 2, 5, 7] {
                successions.observe(hash);
            }
        }
        successions.observe(1);
        successions.observe(5);
        assert_eq!(guesses(&successions), [(6, 1.0)]);
    }

    #[test]
    fn an_unseen_pair_falls_back_to_one_key() {
        let mut successions = Successions::new(64);
        for _ in 0..10 {
            for hash in [1, 5, 6] {
                successions.observe(hash);
            }
        }
        successions.observe(9);
        successions.observe(5);
        let (hash, confidence) = guesses(&successions)[0];
        assert!(hash == 6 && confidence > 0.8, "{confidence}");
    }

    proptest! {
        #[test]
        fn any_stream_gives_shares_and_a_fixed_table(
            stream in prop::collection::vec(0_u64..40, 0..2_000),
        ) {
            let mut successions = Successions::new(32);
            let size = successions.contexts.len();
            for hash in stream {
                successions.observe(hash);
                for (_, confidence) in guesses(&successions) {
                    prop_assert!((0.0..=1.0).contains(&confidence));
                }
            }
            prop_assert_eq!(successions.contexts.len(), size);
        }
    }
}
