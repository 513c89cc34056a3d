//! What comes within some requests of a key, found among keys of middling frequency.
//!
//! J. Yang, R. Karimi, T. Sæmundsson, A. Wildani and Y. Vigfusson, "Mithril: mining sporadic
//! associations for cache prefetching", SoCC 2017. The times of a key's requests are recorded;
//! keys asked for equally often, each time within `window` requests of one another, are
//! associated. Chance does that to two keys again and again far less often than a cause does.
//!
//! Beyond the paper an association is put to the test after it was mined: each time its source
//! comes up, its target is awaited for `window` requests, and what fails too often is dropped.

use cache_enterprise_core::Result;

use super::Guess;
use crate::{bounds, hash};

const WAYS: usize = 4;
/// Targets a source keeps.
const TARGETS: usize = 4;
/// Most request times of one key that are compared.
const SUPPORT_MAX: usize = 8;
/// Targets awaited at once; one that falls on the place of another ends that one's test.
const AWAITED: usize = 2_048;
/// Below this share an association is dropped, once it was tried so often.
const FLOOR: f32 = 0.3;
const TRIALS: u16 = 8;

/// How much is remembered, and what counts as associated.
///
/// ```
/// use cache_enterprise_strategies::predict::AssociationLimits;
///
/// let limits = AssociationLimits { window: 50, ..AssociationLimits::default() };
/// assert!(limits.check().is_ok());
/// assert!(AssociationLimits { support: 1, ..limits }.check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssociationLimits {
    /// Keys whose request times are recorded, 48 bytes each. The default is 16 384.
    pub recorded: usize,
    /// Keys that associations start from, 80 bytes each. The default is 8 192.
    pub sources: usize,
    /// How many requests later an associated key may come. The default is 100.
    pub window: u32,
    /// How often both keys must have come together. The default is 3.
    pub support: usize,
    /// Recorded keys that reached the support are compared when there are so many. The default
    /// is 256.
    pub batch: usize,
}

impl Default for AssociationLimits {
    fn default() -> Self {
        Self { recorded: 16_384, sources: 8_192, window: 100, support: 3, batch: 256 }
    }
}

impl AssociationLimits {
    /// Whether every limit lies in its range.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<()> {
        bounds::within("recorded", self.recorded, 64..=1 << 24)?;
        bounds::within("sources", self.sources, 64..=1 << 24)?;
        bounds::within("window", self.window, 1..=10_000)?;
        bounds::within("support", self.support, 2..=SUPPORT_MAX)?;
        bounds::within("batch", self.batch, 16..=4_096)?;
        Ok(())
    }
}

/// When a key was asked for: 48 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    hash: u64,
    count: u32,
    last: u32,
    /// The first request times since the record was made or cleared.
    times: [u32; SUPPORT_MAX],
}

#[derive(Clone, Copy, Debug, Default)]
struct Target {
    hash: u64,
    tried: u16,
    kept: u16,
}

/// What a key is associated with: 80 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    hash: u64,
    last: u32,
    targets: [Target; TARGETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Awaited {
    target: u64,
    source: u64,
    until: u32,
}

/// The miner: told of every request, asked after each.
#[derive(Debug)]
pub(super) struct Associations {
    limits: AssociationLimits,
    now: u32,
    last: u64,
    records: Box<[Record]>,
    /// Records that reached the support and wait to be compared.
    ready: Vec<Record>,
    sources: Box<[Source]>,
    awaited: Box<[Awaited]>,
}

impl Associations {
    pub(super) fn new(limits: AssociationLimits) -> Result<Self> {
        limits.check()?;
        let room = |keys: usize| keys.div_ceil(WAYS).next_power_of_two() * WAYS;
        Ok(Self {
            limits,
            now: 0,
            last: 0,
            records: vec![Record::default(); room(limits.recorded)].into_boxed_slice(),
            ready: Vec::with_capacity(limits.batch),
            sources: vec![Source::default(); room(limits.sources)].into_boxed_slice(),
            awaited: vec![Awaited::default(); AWAITED].into_boxed_slice(),
        })
    }

    pub(super) fn observe(&mut self, hash: u64) {
        // Zero marks what is free.
        let hash = hash.max(1);
        self.now = self.now.wrapping_add(1);
        self.last = hash;
        self.keep_promise(hash);
        self.await_targets(hash);
        self.record(hash);
        if self.ready.len() >= self.limits.batch {
            self.mine();
        }
    }

    pub(super) fn predict(&self, guesses: &mut Vec<Guess>) {
        let Some(at) = self.source(self.last) else { return };
        let known = self.sources[at].targets.iter().filter(|target| target.hash != 0);
        guesses.extend(known.map(|target| Guess::new(target.hash, target.confidence())));
    }

    /// The target that was awaited came: its source was right.
    fn keep_promise(&mut self, hash: u64) {
        let awaited = &mut self.awaited[awaited_at(hash)];
        if awaited.target != hash || awaited.until.wrapping_sub(self.now) > self.limits.window {
            return;
        }
        let source = std::mem::take(awaited).source;
        if let Some(at) = self.source(source)
            && let Some(target) = self.sources[at].targets.iter_mut().find(|t| t.hash == hash)
        {
            target.kept += 1;
        }
    }

    fn await_targets(&mut self, hash: u64) {
        let Some(at) = self.source(hash) else { return };
        let until = self.now.wrapping_add(self.limits.window);
        self.sources[at].last = self.now;
        for target in &mut self.sources[at].targets {
            if target.hash == 0 {
                continue;
            }
            if target.tried >= TRIALS && target.confidence() < FLOOR {
                *target = Target::default();
                continue;
            }
            target.tried += 1;
            if target.tried > 64 {
                (target.tried, target.kept) = (target.tried / 2, target.kept / 2);
            }
            self.awaited[awaited_at(target.hash)] =
                Awaited { target: target.hash, source: hash, until };
        }
    }

    fn record(&mut self, hash: u64) {
        let (now, support) = (self.now, self.limits.support);
        let bucket = bucket(self.records.len(), hash);
        let found = bucket.clone().find(|at| self.records[*at].hash == hash);
        let at = found.unwrap_or_else(|| {
            let age = |at: &usize| now.wrapping_sub(self.records[*at].last);
            let oldest = bucket.max_by_key(|at| (self.records[*at].hash == 0, age(at)));
            let oldest = oldest.expect("a bucket has records");
            self.records[oldest] = Record { hash, ..Record::default() };
            oldest
        });
        let record = &mut self.records[at];
        record.last = now;
        // The burst of one visit is one time.
        let previous = (record.count as usize).checked_sub(1).map(|at| record.times[at]);
        if previous.is_some_and(|time| now.wrapping_sub(time) <= self.limits.window / 4) {
            return;
        }
        record.times[record.count as usize] = now;
        record.count += 1;
        if record.count as usize == support {
            self.ready.push(*record);
            record.count = 0;
        }
    }

    /// Compares the records that are ready, each with those that started within the window.
    fn mine(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable_by_key(|record| record.times[0]);
        for (at, early) in ready.iter().enumerate() {
            for late in &ready[at + 1..] {
                if late.times[0].wrapping_sub(early.times[0]) > self.limits.window {
                    break;
                }
                // A key that comes often is ready more than once.
                if early.hash == late.hash {
                    continue;
                }
                match self.direction(early, late) {
                    Some(true) => self.associate(early.hash, late.hash),
                    Some(false) => self.associate(late.hash, early.hash),
                    None => {}
                }
            }
        }
        ready.clear();
        self.ready = ready;
    }

    /// Whether the second came after the first each time; nothing if they are not associated.
    fn direction(&self, first: &Record, second: &Record) -> Option<bool> {
        let mut after = 0;
        let pairs = first.times.iter().zip(&second.times).take(self.limits.support);
        for (one, other) in pairs {
            let gap = other.wrapping_sub(*one) as i32;
            if gap.unsigned_abs() > self.limits.window {
                return None;
            }
            after += usize::from(gap > 0);
        }
        // Who mostly comes first is the source: it can be known early.
        Some(2 * after >= self.limits.support)
    }

    fn associate(&mut self, source: u64, target: u64) {
        let now = self.now;
        let bucket = bucket(self.sources.len(), source);
        let found = bucket.clone().find(|at| self.sources[*at].hash == source);
        let at = found.unwrap_or_else(|| {
            let age = |at: &usize| now.wrapping_sub(self.sources[*at].last);
            let oldest = bucket.max_by_key(|at| (self.sources[*at].hash == 0, age(at)));
            let oldest = oldest.expect("a bucket has sources");
            self.sources[oldest] =
                Source { hash: source, last: now, targets: [Target::default(); TARGETS] };
            oldest
        });
        let targets = &mut self.sources[at].targets;
        if targets.iter().any(|known| known.hash == target) {
            return;
        }
        let weakest = targets.iter_mut().min_by(|a, b| a.confidence().total_cmp(&b.confidence()));
        // Mined is not proved: a new association starts with two of three.
        *weakest.expect("a source has targets") = Target { hash: target, tried: 3, kept: 2 };
    }

    fn source(&self, hash: u64) -> Option<usize> {
        bucket(self.sources.len(), hash).find(|at| self.sources[*at].hash == hash)
    }
}

impl Target {
    /// The share of trials in which the target came; 0 for none.
    fn confidence(&self) -> f32 {
        f32::from(self.kept.min(self.tried)) / f32::from(self.tried.max(1))
    }
}

fn bucket(len: usize, hash: u64) -> std::ops::Range<usize> {
    let buckets = len / WAYS;
    let first = (hash::mix(hash) as usize & (buckets - 1)) * WAYS;
    first..first + WAYS
}

fn awaited_at(hash: u64) -> usize {
    (hash::mix(!hash) as usize) & (AWAITED - 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn small() -> AssociationLimits {
        AssociationLimits { recorded: 1_024, sources: 256, window: 10, support: 3, batch: 16 }
    }

    fn guesses(associations: &Associations) -> Vec<u64> {
        let mut guesses = Vec::new();
        associations.predict(&mut guesses);
        guesses.iter().map(|guess| guess.hash).collect()
    }

    #[test]
    fn a_key_is_not_associated_with_itself() {
        let limits = AssociationLimits { window: 100, ..small() };
        let mut associations = Associations::new(limits).unwrap();
        let mut noise = 1_000_000;
        for _ in 0..200 {
            associations.observe(7);
            assert!(!guesses(&associations).contains(&7));
            for _ in 0..30 {
                noise += 1;
                associations.observe(noise);
            }
        }
    }

    #[test]
    fn keys_that_come_together_among_others_are_associated() {
        let mut associations = Associations::new(small()).unwrap();
        let mut noise = 1_000_000;
        for _ in 0..6 {
            for pair in 0..10_u64 {
                for hash in [100 + pair, 0, 0, 200 + pair, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] {
                    noise += 1;
                    associations.observe(if hash == 0 { noise } else { hash });
                }
            }
        }
        let found = (0..10_u64).filter(|pair| {
            associations.observe(100 + pair);
            guesses(&associations).contains(&(200 + pair))
        });
        assert!(found.count() >= 8);
        // The one that comes later does not announce the one that came before.
        associations.observe(205);
        assert!(!guesses(&associations).contains(&105));
    }

    #[test]
    fn an_association_that_ends_is_dropped() {
        let mut associations = Associations::new(small()).unwrap();
        associations.observe(1);
        associations.associate(1, 2);
        assert_eq!(guesses(&associations), [2]);
        for noise in 0..200_u64 {
            associations.observe(1);
            for hash in 0..12 {
                associations.observe(1_000 + noise * 12 + hash);
            }
        }
        associations.observe(1);
        assert_eq!(guesses(&associations), [0; 0]);
    }

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let named = |limits: AssociationLimits| limits.check().unwrap_err().to_string();
        assert!(named(AssociationLimits { window: 0, ..small() }).contains("window"));
        assert!(named(AssociationLimits { support: 9, ..small() }).contains("support"));
        assert!(named(AssociationLimits { batch: 0, ..small() }).contains("batch"));
        assert!(named(AssociationLimits { recorded: 0, ..small() }).contains("recorded"));
        assert!(named(AssociationLimits { sources: 0, ..small() }).contains("sources"));
    }

    proptest! {
        #[test]
        fn any_stream_keeps_the_tables_as_they_are(
            stream in prop::collection::vec(0_u64..60, 0..3_000),
        ) {
            let mut associations = Associations::new(small()).unwrap();
            let sizes = (associations.records.len(), associations.sources.len());
            let mut out = Vec::new();
            for hash in stream {
                associations.observe(hash);
                out.clear();
                associations.predict(&mut out);
                prop_assert!(out.len() <= TARGETS);
                prop_assert!(out.iter().all(|guess| (0.0..=1.0).contains(&guess.confidence)));
            }
            prop_assert_eq!((associations.records.len(), associations.sources.len()), sizes);
            prop_assert!(associations.ready.len() < 16);
        }
    }
}
