//! One gate per key that is being read from or written to the tiers.
//!
//! A tier is slow, so the order in which bytes reach it is not the order in which they were
//! decided on. Two things keep an older value from winning:
//! * Writers of one key pass its gate one at a time, and a value that is older than the gate's
//!   *fence* (the newest `set` or `remove` of the key) is not written any more.
//! * A reader holds the gate from before it asks a tier until it has the bytes; bytes older than
//!   the fence are a miss. So bytes that a `remove` is about to delete are never taken up.
//!
//! `expire` leaves bytes where they are and ends their freshness. Copies on their way, queued or
//! climbing, are older than the gate's *end*: they are past their life wherever they arrive.
//!
//! A gate lives while somebody holds it. A backend with fences of its own checks again where the
//! bytes lie, which also covers a write that outlived its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Sequence, StoredKey};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// A key on its way to or from the tiers.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The newest `set` or `remove` of the key.
    fence: AtomicU64,
    /// The newest `expire` of the key.
    ended: AtomicU64,
    /// The newest of both that this process did itself.
    own: AtomicU64,
    /// Passed by one writer at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Gate {
    pub(crate) fn fence(&self) -> Sequence {
        Sequence(self.fence.load(Ordering::Acquire))
    }

    /// Whether bytes of `version` may still be taken up or written.
    pub(crate) fn admits(&self, version: Sequence) -> bool {
        version >= self.fence()
    }

    /// The number of what this process did last with the key, while somebody holds the gate.
    pub(crate) fn own(&self) -> Sequence {
        Sequence(self.own.load(Ordering::Acquire))
    }

    /// Whether the fresh life of bytes of `version` was ended.
    pub(crate) fn has_ended(&self, version: Sequence) -> bool {
        version.0 < self.ended.load(Ordering::Acquire)
    }
}

type Shard = Mutex<HashMap<StoredKey, Arc<Gate>>>;

/// The gates of one manager.
#[derive(Debug)]
pub(crate) struct Gates {
    shards: Box<[Shard]>,
    hasher: hashbrown::DefaultHashBuilder,
}

const SHARDS: usize = 32;

impl Gates {
    pub(crate) fn new() -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { shards, hasher: hashbrown::DefaultHashBuilder::default() })
    }

    /// The gate of `key`, held until the pass is dropped.
    pub(crate) fn enter(self: &Arc<Self>, key: &StoredKey) -> Pass {
        let gate = Arc::clone(self.shard(key).lock().entry(key.clone()).or_default());
        Pass { gates: Arc::clone(self), key: key.clone(), gate }
    }

    /// Enters as the writer of `at`: from now on older bytes are refused.
    pub(crate) fn fence(self: &Arc<Self>, key: &StoredKey, at: Sequence) -> Pass {
        let pass = self.heed(key, at);
        pass.gate.own.fetch_max(at.0, Ordering::AcqRel);
        pass
    }

    /// As [`fence`](Self::fence), for a writer in another process.
    pub(crate) fn heed(self: &Arc<Self>, key: &StoredKey, at: Sequence) -> Pass {
        let pass = self.enter(key);
        pass.gate.fence.fetch_max(at.0, Ordering::AcqRel);
        pass
    }

    /// Enters as the expiry of `at`: from now on older bytes are not fresh.
    pub(crate) fn end(self: &Arc<Self>, key: &StoredKey, at: Sequence) -> Pass {
        let pass = self.enter(key);
        pass.gate.ended.fetch_max(at.0, Ordering::AcqRel);
        pass.gate.own.fetch_max(at.0, Ordering::AcqRel);
        pass
    }

    fn shard(&self, key: &StoredKey) -> &Shard {
        use std::hash::BuildHasher;
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// A hold on a key's gate.
#[derive(Debug)]
pub(crate) struct Pass {
    gates: Arc<Gates>,
    key: StoredKey,
    gate: Arc<Gate>,
}

impl std::ops::Deref for Pass {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.gate
    }
}

impl Pass {
    pub(crate) fn key(&self) -> &StoredKey {
        &self.key
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut shard = self.gates.shard(&self.key).lock();
        // The map's count and this pass's: nobody else holds the gate.
        if let Entry::Occupied(held) = shard.entry(self.key.clone())
            && Arc::strong_count(held.get()) <= 2
        {
            held.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn key() -> StoredKey {
        KeySpace::new("m", "", "c").and_then(|space| space.key(&1_u8)).expect("short key")
    }

    #[test]
    fn a_fence_holds_while_anybody_is_inside_and_no_longer() {
        let gates = Gates::new();
        let reader = gates.enter(&key());
        let writer = gates.fence(&key(), Sequence(5));
        assert!(!reader.admits(Sequence(4)));
        assert!(reader.admits(Sequence(5)));
        drop(writer);
        assert!(!reader.admits(Sequence(4)), "the reader keeps the gate");
        drop(reader);
        assert_eq!(gates.len(), 0);
        assert!(gates.enter(&key()).admits(Sequence(4)));
    }

    /// Who passes a gate, in three steps: in, at the tier, out.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Who {
        Reader,
        /// Loads, and stores what it loaded as of the moment it came in.
        Filler,
        Setter,
        Remover,
    }

    struct Caller {
        who: Who,
        pass: Option<Pass>,
        at: Sequence,
        /// What had been acknowledged when it came in.
        since: Sequence,
        steps: usize,
    }

    /// A tier without fences that holds at most one value: the number it was made under.
    struct World {
        gates: Arc<Gates>,
        callers: Vec<Caller>,
        tier: Option<Sequence>,
        number: u64,
        /// The newest set or removal that has returned.
        acknowledged: Sequence,
    }

    impl World {
        fn of(callers: &[Who]) -> Self {
            let caller = |who: &Who| Caller {
                who: *who,
                pass: None,
                at: Sequence(0),
                since: Sequence(0),
                steps: 0,
            };
            Self {
                gates: Gates::new(),
                callers: callers.iter().map(caller).collect(),
                tier: Some(Sequence(1)),
                number: 1,
                acknowledged: Sequence(1),
            }
        }

        /// One step of a caller; tells what a reader was given, and what it may not be older than.
        fn step(&mut self, number: usize) -> Option<(Sequence, Sequence)> {
            let caller = &mut self.callers[number];
            caller.steps += 1;
            match (caller.steps, &caller.pass) {
                (1, _) => {
                    self.number += 1;
                    (caller.at, caller.since) = (Sequence(self.number), self.acknowledged);
                    caller.pass = Some(match caller.who {
                        Who::Reader | Who::Filler => self.gates.enter(&key()),
                        Who::Setter | Who::Remover => self.gates.fence(&key(), caller.at),
                    });
                    None
                }
                (2, Some(pass)) => {
                    match caller.who {
                        Who::Reader => caller.at = self.tier.unwrap_or_default(),
                        Who::Remover => self.tier = None,
                        Who::Filler | Who::Setter if pass.admits(caller.at) => {
                            self.tier = Some(caller.at);
                        }
                        Who::Filler | Who::Setter => {}
                    }
                    None
                }
                (_, pass) => {
                    let is_given = pass.as_ref().is_some_and(|pass| pass.admits(caller.at));
                    caller.pass = None;
                    match caller.who {
                        Who::Reader => is_given.then_some((caller.at, caller.since)),
                        Who::Filler => None,
                        Who::Setter | Who::Remover => {
                            self.acknowledged = self.acknowledged.max(caller.at);
                            None
                        }
                    }
                }
            }
        }

        /// Plays every order of the steps that are left, by the numbers of their callers.
        fn orders(left: &mut Vec<usize>, order: &mut Vec<usize>, play: &mut impl FnMut(&[usize])) {
            if left.iter().all(|steps| *steps == 0) {
                return play(order);
            }
            for caller in 0..left.len() {
                if left[caller] > 0 {
                    left[caller] -= 1;
                    order.push(caller);
                    Self::orders(left, order, play);
                    order.pop();
                    left[caller] += 1;
                }
            }
        }
    }

    #[test]
    fn in_a_small_world_nothing_older_than_what_returned_is_believed() {
        let all = [Who::Reader, Who::Filler, Who::Setter, Who::Remover];
        let mut played = 0;
        for number in 0..64 {
            let [one, two, three] = [number / 16, number / 4 % 4, number % 4].map(|at| all[at]);
            World::orders(&mut vec![3; 3], &mut Vec::new(), &mut |order| {
                let mut world = World::of(&[one, two, three]);
                for (place, caller) in order.iter().enumerate() {
                    let told = || format!("{:?} {:?}", [one, two, three], &order[..=place]);
                    if let Some((given, since)) = world.step(*caller) {
                        assert!(given == Sequence(0) || given >= since, "{}", told());
                    }
                    let pass = world.gates.enter(&key());
                    let believed = world.tier.filter(|held| pass.admits(*held));
                    let is_older = believed.is_some_and(|held| held < world.acknowledged);
                    assert!(!is_older, "{}", told());
                }
                assert_eq!(world.gates.len(), 0);
                played += 1;
            });
        }
        assert_eq!(played, 64 * 1_680);
    }

    #[test]
    fn a_fence_never_goes_back() {
        let gates = Gates::new();
        let pass = gates.fence(&key(), Sequence(9));
        let _older = gates.fence(&key(), Sequence(3));
        assert_eq!(pass.fence(), Sequence(9));
    }
}
