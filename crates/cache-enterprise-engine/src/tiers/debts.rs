//! What a failing tier was not told: removals and values it still holds an older copy of.
//!
//! A `set` or `remove` that a tier did not confirm leaves a debt: bytes of that key below its
//! version are a miss when the tier answers again, and are removed. Debts are bounded; when they
//! overflow, everything older than the newest debt is a miss in that tier.
//!
//! However a debt is settled, by its removal or by a newer value, other processes may have taken up
//! meanwhile what the tier still held: it is noted as *late*, and they are told once more.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Sequence, StoredKey, mutant};
use hashbrown::HashMap;

/// Keys remembered per tier.
pub(crate) const DEBTS_MAX: usize = 100_000;

/// The debts towards one tier.
#[derive(Debug)]
pub(crate) struct Debts {
    owed: Mutex<HashMap<StoredKey, Sequence>>,
    /// What was settled since this was last taken.
    late: Mutex<Vec<(StoredKey, Sequence)>>,
    /// Number of debts, read without the lock: usually zero.
    len: AtomicU64,
    floor: AtomicU64,
    max: usize,
}

impl Debts {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            owed: Mutex::default(),
            late: Mutex::default(),
            len: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            max,
        }
    }

    /// The tier was not told about `version` of `key`.
    pub(crate) fn owe(&self, key: &StoredKey, version: Sequence) {
        let mut owed = self.owed.lock();
        if owed.len() >= self.max && !owed.contains_key(key) {
            let newest = owed.values().copied().max().unwrap_or_default().max(version);
            if !mutant::breaks("more than can be owed ends what is older") {
                self.floor.fetch_max(newest.0, Ordering::AcqRel);
            }
            owed.clear();
        } else {
            let held = owed.entry(key.clone()).or_default();
            *held = version.max(*held);
        }
        self.len.store(owed.len() as u64, Ordering::Release);
    }

    /// Nothing older than `version` may be believed, whatever its key.
    pub(crate) fn distrust(&self, version: Sequence) {
        self.floor.fetch_max(version.0, Ordering::AcqRel);
    }

    /// The tier confirmed `version` of `key`.
    pub(crate) fn settle(&self, key: &StoredKey, version: Sequence) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut owed = self.owed.lock();
        let Some(held) = owed.get(key).copied().filter(|held| *held <= version) else { return };
        let mut late = self.late.lock();
        if late.len() >= self.max {
            // It is settled once more when those were told.
            return;
        }
        late.push((key.clone(), held));
        owed.remove(key);
        self.len.store(owed.len() as u64, Ordering::Release);
    }

    /// Whether nothing more is settled before somebody takes what is late.
    pub(crate) fn is_late_full(&self) -> bool {
        self.late.lock().len() >= self.max
    }

    /// What was settled since the last call, in that order.
    pub(crate) fn take_late(&self) -> Vec<(StoredKey, Sequence)> {
        std::mem::take(&mut *self.late.lock())
    }

    /// Whether bytes of this version may be believed.
    pub(crate) fn admits(&self, key: &StoredKey, version: Sequence) -> bool {
        if version.0 < self.floor.load(Ordering::Acquire) {
            return false;
        }
        self.len.load(Ordering::Acquire) == 0
            || self.owed.lock().get(key).is_none_or(|held| version >= *held)
    }

    /// Whether the tier was not told of something about `key`.
    pub(crate) fn owes(&self, key: &StoredKey) -> bool {
        self.len.load(Ordering::Acquire) > 0 && self.owed.lock().contains_key(key)
    }

    /// Whether the tier was not told of `version` of `key` yet, and of nothing newer.
    pub(crate) fn is_due(&self, key: &StoredKey, version: Sequence) -> bool {
        self.owed.lock().get(key) == Some(&version)
    }

    /// Up to `most` debts of keys that `is_open` lets pass, in their order, to be settled by
    /// removing.
    pub(crate) fn take_some(
        &self,
        most: usize,
        is_open: impl Fn(&StoredKey) -> bool,
    ) -> Vec<(StoredKey, Sequence)> {
        if self.len.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let owed = self.owed.lock();
        let open = owed.iter().filter(|(key, _)| is_open(key));
        let some = open.take(most).map(|(key, version)| (key.clone(), *version));
        let mut some: Vec<_> = some.collect();
        some.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        some
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn key(number: u32) -> StoredKey {
        KeySpace::new("m", "", "c").and_then(|space| space.key(&number)).expect("short key")
    }

    #[test]
    fn older_bytes_are_not_believed_until_the_debt_is_settled() {
        let debts = Debts::new(10);
        debts.owe(&key(1), Sequence(5));
        assert!(!debts.admits(&key(1), Sequence(4)));
        assert!(debts.admits(&key(1), Sequence(5)));
        assert!(debts.admits(&key(2), Sequence(1)));
        debts.settle(&key(1), Sequence(4));
        assert!(!debts.admits(&key(1), Sequence(4)), "an older write settles nothing");
        debts.settle(&key(1), Sequence(5));
        assert!(debts.admits(&key(1), Sequence(4)));
    }

    /// What a tier made of a call.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Heard {
        Whole,
        Nothing,
        /// It did what it was told, and nobody knows.
        Unsaid,
    }

    /// A call to a tier that fails now and then.
    #[derive(Clone, Copy, Debug)]
    enum Call {
        Put(u32, Heard),
        Remove(u32, Heard),
        /// The first debt is paid by its removal.
        Pay(Heard),
    }

    const HEARD: [Heard; 3] = [Heard::Whole, Heard::Nothing, Heard::Unsaid];
    const KEYS: [u32; 2] = [1, 2];

    fn calls() -> Vec<Call> {
        let of_key = |key| {
            HEARD.iter().flat_map(move |heard| [Call::Put(key, *heard), Call::Remove(key, *heard)])
        };
        let paid = HEARD.iter().map(|heard| Call::Pay(*heard));
        KEYS.into_iter().flat_map(of_key).chain(paid).collect()
    }

    /// A tier without fences, what the process did last, and what it owes.
    struct World {
        debts: Debts,
        tier: HashMap<u32, Sequence>,
        newest: HashMap<u32, Sequence>,
        number: u64,
    }

    impl World {
        fn new(max: usize) -> Self {
            let (tier, newest) = (HashMap::new(), HashMap::new());
            Self { debts: Debts::new(max), tier, newest, number: 0 }
        }

        fn call(&mut self, call: Call) {
            let (of, value, heard, at) = match call {
                Call::Put(of, heard) => (of, true, heard, self.next(of)),
                Call::Remove(of, heard) => (of, false, heard, self.next(of)),
                Call::Pay(heard) => {
                    // Others are told of what is late, which makes room for more.
                    self.debts.take_late();
                    let Some((owed, at)) = self.debts.take_some(1, |_| true).pop() else { return };
                    let of = KEYS.into_iter().find(|of| key(*of) == owed).expect("one of them");
                    (of, false, heard, at)
                }
            };
            if heard != Heard::Nothing {
                match value {
                    true => self.tier.insert(of, at),
                    false => self.tier.remove(&of),
                };
            }
            match heard {
                Heard::Whole => self.debts.settle(&key(of), at),
                _ => self.debts.owe(&key(of), at),
            }
        }

        fn next(&mut self, of: u32) -> Sequence {
            self.number += 1;
            self.newest.insert(of, Sequence(self.number));
            Sequence(self.number)
        }

        fn believed(&self, of: u32) -> Option<Sequence> {
            let held = self.tier.get(&of).copied();
            held.filter(|version| self.debts.admits(&key(of), *version))
        }
    }

    #[test]
    fn in_a_small_world_a_tier_that_misses_calls_gives_nothing_older_and_is_trusted_again() {
        let calls = calls();
        let longer = |before: Vec<Call>| {
            calls.iter().map(move |call| before.iter().copied().chain([*call]).collect())
        };
        let histories = (0..4).fold(vec![Vec::new()], |histories: Vec<Vec<Call>>, _| {
            histories.into_iter().flat_map(longer).collect()
        });
        assert_eq!(histories.len(), 15 * 15 * 15 * 15);
        for (max, history) in
            [1, 2].into_iter().flat_map(|max| histories.iter().map(move |h| (max, h)))
        {
            let mut world = World::new(max);
            for call in history {
                world.call(*call);
                for of in KEYS {
                    let is_older = world.believed(of).is_some_and(|held| held < world.newest[&of]);
                    assert!(!is_older, "{of} after {call:?} of {history:?} with room for {max}");
                }
            }
            while world.debts.len() > 0 {
                world.call(Call::Pay(Heard::Whole));
            }
            for of in KEYS {
                world.call(Call::Put(of, Heard::Whole));
                assert_eq!(world.believed(of), Some(world.newest[&of]), "{of} after {history:?}");
            }
        }
    }

    #[test]
    fn a_debt_is_due_until_it_is_settled_or_grows() {
        let debts = Debts::new(10);
        debts.owe(&key(1), Sequence(5));
        assert!(debts.is_due(&key(1), Sequence(5)) && !debts.is_due(&key(2), Sequence(5)));
        debts.owe(&key(1), Sequence(9));
        assert!(!debts.is_due(&key(1), Sequence(5)) && debts.is_due(&key(1), Sequence(9)));
        debts.settle(&key(1), Sequence(9));
        assert!(!debts.is_due(&key(1), Sequence(9)));
    }

    #[test]
    fn what_is_settled_is_late_however_it_is_settled() {
        let debts = Debts::new(2);
        debts.owe(&key(1), Sequence(5));
        debts.settle(&key(1), Sequence(4));
        debts.settle(&key(2), Sequence(9));
        assert_eq!(debts.take_late(), [], "nothing was settled");
        debts.owe(&key(2), Sequence(6));
        debts.settle(&key(1), Sequence(9));
        debts.settle(&key(2), Sequence(6));
        debts.owe(&key(3), Sequence(7));
        debts.settle(&key(3), Sequence(7));
        assert!(debts.is_late_full() && debts.owes(&key(3)), "it waits until others were told");
        assert_eq!(debts.take_late(), [(key(1), Sequence(5)), (key(2), Sequence(6))]);
        debts.settle(&key(3), Sequence(7));
        assert_eq!((debts.take_late(), debts.len()), (vec![(key(3), Sequence(7))], 0));
    }

    #[test]
    fn an_overflow_forgets_keys_and_distrusts_everything_older() {
        let debts = Debts::new(2);
        for number in 1..=3 {
            debts.owe(&key(number), Sequence(u64::from(number) * 10));
        }
        assert_eq!(debts.len(), 0);
        assert!(!debts.admits(&key(9), Sequence(29)));
        assert!(debts.admits(&key(9), Sequence(30)));
    }
}
