//! The past of keys that are not resident, in bounded memory.
//!
//! A set-associative table as in processors: a key's name says in which set of eight records its
//! past may lie, and a new one takes the place of the one used longest ago there. It needs no
//! list, one look-up reads two cache lines, and what is forgotten is about the oldest.

use super::past::Past;

/// Records of one set.
const WAYS: usize = 8;
/// Sets of a new history.
const FIRST_SETS: usize = 16;

/// Under which name a key's past is remembered. Two keys of one name are taken for one: with a
/// million records that happens to one key in 4,000 and costs no more than a wrong guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u32);

impl Name {
    /// The name of a hash, mixed with the seed so that nobody outside can choose keys of one set.
    pub(super) const fn new(hash: u64, seed: u64) -> Self {
        let mixed = (hash ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32)
    }
}

impl Name {
    /// Evenly spread, each name its own.
    pub(super) const fn bits(self) -> u32 {
        self.0
    }
}

/// Names and their pasts: 16 bytes a record at most.
#[derive(Debug)]
pub(super) struct History {
    records: Vec<Option<(Name, Past)>>,
    len: usize,
    /// Records beyond this are not kept.
    most: usize,
}

impl History {
    pub(super) fn new(most: usize) -> Self {
        let sets = (most / WAYS).clamp(1, FIRST_SETS);
        Self { records: vec![None; sets * WAYS], len: 0, most }
    }

    /// Pasts remembered now.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The past of the name, which is forgotten here.
    pub(super) fn take(&mut self, name: Name) -> Option<Past> {
        let set = self.set(name);
        let record = self.records[set..set + WAYS]
            .iter_mut()
            .find(|record| record.is_some_and(|(known, _)| known == name))?;
        self.len -= 1;
        record.take().map(|(_, past)| past)
    }

    /// Remembers a past, in place of the oldest if there is no room.
    pub(super) fn put(&mut self, name: Name, past: Past, now: u32) {
        if self.most < WAYS {
            return;
        }
        // At three quarters about one set in six is full and starts to forget.
        if self.len * 4 >= self.records.len() * 3 {
            self.grow(now);
        }
        self.place(name, past, now);
    }

    /// Remembers at most so many from now on.
    pub(super) fn resize(&mut self, most: usize, now: u32) {
        self.most = most;
        let sets = (most / WAYS).max(1);
        if sets * WAYS < self.records.len() {
            self.rebuild(sets, now);
        }
    }

    /// Every `step`-th place, with what it remembers.
    pub(super) fn sample(&self, step: usize) -> impl Iterator<Item = Past> {
        self.records.iter().step_by(step).filter_map(|record| record.map(|(_, past)| past))
    }

    /// Places for records, used or not.
    pub(super) fn places(&self) -> usize {
        self.records.len()
    }

    fn grow(&mut self, now: u32) {
        let sets = (self.records.len() / WAYS * 2).min(self.most / WAYS);
        if sets * WAYS > self.records.len() {
            self.rebuild(sets, now);
        }
    }

    fn rebuild(&mut self, sets: usize, now: u32) {
        let records = std::mem::replace(&mut self.records, vec![None; sets * WAYS]);
        self.len = 0;
        for (name, past) in records.into_iter().flatten() {
            self.place(name, past, now);
        }
    }

    fn place(&mut self, name: Name, past: Past, now: u32) {
        let set = self.set(name);
        let mut oldest = (set, 0);
        for place in set..set + WAYS {
            match self.records[place] {
                Some((known, _)) if known != name => {}
                // Its own place, or a free one.
                taken => {
                    self.len += usize::from(taken.is_none());
                    oldest.0 = place;
                    break;
                }
            }
            let age = self.records[place].map_or(0, |(_, past)| past.age(now));
            if age >= oldest.1 {
                oldest = (place, age);
            }
        }
        self.records[oldest.0] = Some((name, past));
    }

    fn set(&self, name: Name) -> usize {
        let sets = (self.records.len() / WAYS) as u64;
        ((u64::from(name.0) * sets) >> 32) as usize * WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_costs_at_most_sixteen_bytes() {
        assert!(size_of::<Option<(Name, Past)>>() <= 16);
    }

    #[test]
    fn grows_to_its_bound_and_forgets_the_oldest() {
        let mut history = History::new(1_000);
        for request in 0..10_000u32 {
            history.put(Name::new(u64::from(request), 7), Past::new(request), request);
            assert!(history.len() <= 1_000 && history.places() <= 1_000);
        }
        assert!(history.len() > 900, "{} records", history.len());
        assert_eq!(history.take(Name::new(3, 7)), None);
        let young = (9_500..10_000).filter(|key| history.take(Name::new(*key, 7)).is_some());
        assert!(young.count() > 450);
    }

    #[test]
    fn what_is_taken_is_gone_and_a_smaller_bound_holds() {
        let mut history = History::new(256);
        let name = Name::new(1, 0);
        history.put(name, Past::new(5), 5);
        history.put(name, Past::new(6), 6);
        assert_eq!((history.len(), history.take(name)), (1, Some(Past::new(6))));
        assert_eq!((history.len(), history.take(name)), (0, None));
        for key in 0..256 {
            history.put(Name::new(key, 0), Past::new(key as u32), 256);
        }
        history.resize(64, 256);
        assert!(history.len() <= 64);
        assert_eq!(history.len(), history.sample(1).count());
        history.resize(0, 256);
        history.put(name, Past::new(5), 300);
        assert!(history.len() <= WAYS);
    }
}
