//! Keys that ended under numbers of this process alone.
//!
//! What the tiers hold of such a key is a miss, however new: nobody knows its place among what
//! others wrote. As soon as the store gives a number the key is ended again under that, and a
//! tier that is not told then owes it like any other removal. A caller who writes the key under a
//! number of the store's before that has ended all that came earlier.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Sequence, StoredKey};
use hashbrown::HashMap;

/// Keys remembered by one stack. What finds no room ends with its tenant.
pub(super) const KEYS_MAX: usize = 100_000;

/// The keys that a stack owes.
#[derive(Debug)]
pub(super) struct Unnumbered {
    owed: Mutex<Owed>,
    /// Number of keys, read without the lock: usually zero.
    len: AtomicU64,
    max: usize,
}

#[derive(Debug, Default)]
struct Owed {
    keys: HashMap<StoredKey, Ended>,
    /// Keys of each tenant that has some.
    of_tenants: HashMap<u32, usize>,
    /// Counts the ends, so that one is told from a later one of the same key.
    times: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    tenant: u32,
    time: u64,
    /// The process's own number: below each that the store gives later.
    at: Sequence,
}

/// A key that is to be ended again, as of its last end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) key: StoredKey,
    time: u64,
}

/// What became of keys that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// Nothing of their tenant was owed before.
    pub(super) is_first: bool,
    /// Not all found room.
    pub(super) is_over: bool,
}

impl Unnumbered {
    pub(super) fn new(max: usize) -> Self {
        Self { owed: Mutex::default(), len: AtomicU64::new(0), max }
    }

    /// Notes that these keys of a tenant ended now, under a number of the process's own.
    pub(super) fn owe<'a>(
        &self,
        tenant: u32,
        at: Sequence,
        keys: impl Iterator<Item = &'a StoredKey>,
    ) -> Noted {
        let mut owed = self.owed.lock();
        let mut noted = Noted { is_first: !owed.of_tenants.contains_key(&tenant), is_over: false };
        for key in keys {
            owed.times += 1;
            let ended = Ended { tenant, time: owed.times, at };
            if let Some(held) = owed.keys.get_mut(key) {
                *held = ended;
            } else if owed.keys.len() < self.max {
                owed.keys.insert(key.clone(), ended);
                *owed.of_tenants.entry(tenant).or_default() += 1;
            } else {
                noted.is_over = true;
            }
        }
        self.len.store(owed.keys.len() as u64, Ordering::Release);
        noted
    }

    pub(super) fn owes(&self, key: &StoredKey) -> bool {
        self.len() > 0 && self.owed.lock().keys.contains_key(key)
    }

    pub(super) fn owes_of(&self, tenant: u32) -> bool {
        self.len() > 0 && self.owed.lock().of_tenants.contains_key(&tenant)
    }

    /// The keys of a tenant, in their order, so that what follows from it can be played again.
    pub(super) fn due(&self, tenant: u32) -> Vec<Due> {
        let owed = self.owed.lock();
        let of_tenant = owed.keys.iter().filter(|(_, ended)| ended.tenant == tenant);
        let due = of_tenant.map(|(key, ended)| Due { key: key.clone(), time: ended.time });
        let mut due: Vec<_> = due.collect();
        due.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        due
    }

    /// Whether a key is still to be ended again, and has not ended anew since it was
    /// [due](Self::due).
    pub(super) fn is_due(&self, due: &Due) -> bool {
        self.owed.lock().keys.get(&due.key).is_some_and(|ended| ended.time == due.time)
    }

    /// A key was ended again, under a number that was drawn after it was [due](Self::due). One
    /// that has ended anew since stays owed.
    pub(super) fn settle(&self, due: &Due) {
        self.settle_if(&due.key, |ended| ended.time == due.time);
    }

    /// Every tier was told of what a caller did with a key under a number of the store's.
    pub(super) fn cover(&self, key: &StoredKey, version: Sequence) {
        if self.len() > 0 {
            self.settle_if(key, |ended| ended.at < version);
        }
    }

    fn settle_if(&self, key: &StoredKey, is_settled: impl FnOnce(&Ended) -> bool) {
        let mut owed = self.owed.lock();
        let Some(ended) = owed.keys.get(key).copied().filter(is_settled) else { return };
        owed.keys.remove(key);
        if let Some(count) = owed.of_tenants.get_mut(&ended.tenant) {
            *count -= 1;
            if *count == 0 {
                owed.of_tenants.remove(&ended.tenant);
            }
        }
        self.len.store(owed.keys.len() as u64, Ordering::Release);
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn keys<const N: usize>(numbers: [u32; N]) -> [StoredKey; N] {
        let space = KeySpace::new("m", "", "c").expect("short names");
        numbers.map(|number| space.key(&number).expect("short key"))
    }

    #[test]
    fn a_key_is_owed_until_its_last_end_has_a_number() {
        let unnumbered = Unnumbered::new(10);
        let [key] = keys([1]);
        assert_eq!(
            unnumbered.owe(7, Sequence(5), [&key].into_iter()),
            Noted { is_first: true, is_over: false }
        );
        let due = unnumbered.due(7);
        assert_eq!(unnumbered.owe(7, Sequence(5), [&key].into_iter()), Noted::default());
        due.iter().for_each(|due| unnumbered.settle(due));
        assert!(unnumbered.owes(&key) && unnumbered.owes_of(7), "it has ended anew since");
        unnumbered.due(7).iter().for_each(|due| unnumbered.settle(due));
        assert!(!unnumbered.owes(&key) && !unnumbered.owes_of(7));
        assert_eq!(unnumbered.len(), 0);
    }

    #[test]
    fn a_key_that_was_written_under_a_later_number_is_owed_no_more() {
        let unnumbered = Unnumbered::new(10);
        let [one, two] = keys([1, 2]);
        unnumbered.owe(7, Sequence(5), [&one, &two].into_iter());
        let due = unnumbered.due(7);
        unnumbered.cover(&one, Sequence(4));
        assert!(unnumbered.owes(&one), "the number was drawn before");
        unnumbered.cover(&one, Sequence(6));
        let is_due: Vec<_> = due.iter().map(|due| unnumbered.is_due(due)).collect();
        assert_eq!((is_due, unnumbered.len()), (vec![false, true], 1));
    }

    #[test]
    fn tenants_are_first_and_due_by_themselves() {
        let unnumbered = Unnumbered::new(10);
        let [one, two] = keys([1, 2]);
        unnumbered.owe(7, Sequence(5), [&one].into_iter());
        assert!(unnumbered.owe(8, Sequence(5), [&two].into_iter()).is_first);
        let due: Vec<_> = unnumbered.due(8).into_iter().map(|due| due.key).collect();
        assert_eq!(due, [two]);
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let unnumbered = Unnumbered::new(2);
        let [one, two, three] = keys([1, 2, 3]);
        assert!(!unnumbered.owe(7, Sequence(5), [&one, &two, &one].into_iter()).is_over);
        assert!(unnumbered.owe(7, Sequence(5), [&two, &three].into_iter()).is_over);
        assert!(unnumbered.owes(&one) && !unnumbered.owes(&three));
    }
}
