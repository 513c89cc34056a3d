//! What is remembered of the use of one key, and which keys are taken to behave alike.

use super::age::{AGES, bucket};

/// Stands for a gap that did not happen yet.
const NEVER: u8 = u8::MAX;
/// Classes of the count of uses beyond the first: 2, 3 to 4, 5 to 8, 9 to 20, more.
const COUNTS: usize = 5;
/// Classes of the gap between the last two uses: octaves from 1/16 of the entries to 8 times them.
const GAPS: usize = 9;
/// Classes of the gap before: two octaves each, in the range of the last gap.
const GAPS_BEFORE: usize = 6;

/// Keys of one count and two gaps.
pub(super) const CLASSES: usize = 1 + GAPS * (1 + (COUNTS - 1) * GAPS_BEFORE);

/// The uses of one key, in 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// The request of the last use.
    last: u32,
    /// The bucket of the gap between the last two uses.
    gap: u8,
    /// The bucket of the gap before.
    gap_before: u8,
    uses: u8,
}

impl Past {
    /// A key that is used for the first time, as far as anybody remembers.
    pub(super) const fn new(now: u32) -> Self {
        Self { last: now, gap: NEVER, gap_before: NEVER, uses: 1 }
    }

    /// How often the key was used, as far as anybody remembers; 255 for more.
    pub(super) const fn uses(self) -> u8 {
        self.uses
    }

    /// Requests since the last use. Wraps around after 2^32 requests, which only makes what was
    /// forgotten by all others look young once.
    pub(super) const fn age(self, now: u32) -> u32 {
        now.wrapping_sub(self.last)
    }

    /// The key is used again.
    pub(super) fn used(&mut self, now: u32) {
        self.gap_before = self.gap;
        self.gap = bucket(self.age(now));
        self.uses = self.uses.saturating_add(1);
        self.last = now;
    }
}

/// A class and an age: where in the tables something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell(u16);

const _: () = assert!(CLASSES * AGES <= u16::MAX as usize);

impl Cell {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Tells gaps apart relative to how many entries fit, so that what is learned at one size means
/// the same at another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    entries: u8,
    /// Whether keys of another gap before are of another class.
    both_gaps: bool,
}

impl Scale {
    pub(super) fn new(entries: usize, both_gaps: bool) -> Self {
        Self { entries: bucket(u32::try_from(entries.max(1)).unwrap_or(u32::MAX)), both_gaps }
    }

    /// Where a key with this past counts now.
    pub(super) fn cell(self, past: Past, now: u32) -> Cell {
        Cell((self.class(past) * AGES + usize::from(bucket(past.age(now)))) as u16)
    }

    /// The class of a key with this past, below [`CLASSES`].
    pub(super) fn class(self, past: Past) -> usize {
        if past.gap == NEVER {
            return 0;
        }
        let octave = self.octaves(past.gap);
        let gap = octave.clamp(0, GAPS as i32 - 1) as usize;
        let count = match past.uses {
            ..=2 => return 1 + gap,
            3..=4 => 0,
            5..=8 => 1,
            9..=20 => 2,
            _ => 3,
        };
        let before = match past.gap_before {
            // A gap that nobody remembers counts as among the shortest.
            NEVER => 0,
            _ if !self.both_gaps => 0,
            gap => ((self.octaves(gap) + 2) / 2).clamp(0, GAPS_BEFORE as i32 - 1) as usize,
        };
        1 + GAPS + (count * GAPS + gap) * GAPS_BEFORE + before
    }

    /// Octaves of a gap above 1/32 of the entries.
    fn octaves(self, gap: u8) -> i32 {
        (i32::from(gap) - i32::from(self.entries)).div_euclid(4) + 5
    }
}

/// For each class and each group of classes the group it falls back on while it knows little:
/// a class on its count and gap, these on their gap, and these on all. Whatever is fallen back
/// on has the higher number; the last falls back on itself.
pub(super) fn fallbacks() -> Vec<u16> {
    let (pairs, gaps) = (CLASSES, CLASSES + (COUNTS - 1) * GAPS);
    let all = (gaps + GAPS) as u16;
    let mut fallbacks = vec![all];
    fallbacks.extend((0..GAPS).map(|gap| (gaps + gap) as u16));
    for pair in 0..(COUNTS - 1) * GAPS {
        fallbacks.extend([(pairs + pair) as u16; GAPS_BEFORE]);
    }
    fallbacks.extend((0..(COUNTS - 1) * GAPS).map(|pair| (gaps + pair % GAPS) as u16));
    fallbacks.extend([all; GAPS + 1]);
    fallbacks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_past_takes_eight_bytes() {
        assert_eq!(size_of::<Past>(), 8);
    }

    #[test]
    fn every_class_is_reached_and_none_beyond() {
        let scale = Scale::new(1_000, true);
        let mut reached = BTreeSet::new();
        for uses in [2, 3, 5, 9, 21, 255] {
            for gap in 0..124 {
                for gap_before in (0..124).chain([NEVER]) {
                    reached.insert(scale.class(Past { last: 0, gap, gap_before, uses }));
                }
            }
        }
        reached.insert(scale.class(Past::new(7)));
        assert_eq!(reached.len(), CLASSES);
        assert_eq!(reached.last(), Some(&(CLASSES - 1)));
    }

    #[test]
    fn gaps_are_relative_to_the_entries() {
        let gap_of = |entries: usize, gap: u32| {
            let mut past = Past::new(0);
            past.used(gap);
            Scale::new(entries, true).class(past)
        };
        assert_eq!(gap_of(100, 150), gap_of(10_000, 15_000));
        assert_ne!(gap_of(100, 150), gap_of(10_000, 150));
        assert_eq!(gap_of(1_000, u32::MAX), GAPS);
    }

    #[test]
    fn falling_back_ends_at_the_last() {
        let fallbacks = fallbacks();
        for (group, back) in fallbacks.iter().enumerate() {
            let last = group + 1 == fallbacks.len();
            assert_eq!(usize::from(*back) > group, !last, "group {group}");
        }
    }
}
