//! A hierarchical timer wheel of eight-byte records.
//!
//! After Varghese and Lauck (1987), scheme 7: five levels of 64 slots; a slot of one level spans
//! the whole level below. Time is cut into ticks of 64 ms, since the reader checks the exact
//! millisecond itself and the wheel only gives memory back. A record is the hash of a key and no
//! more: neither key nor value is kept alive, and the date is asked of the entry when the record's
//! slot comes up. A record whose entry has gone in the meantime is found out then, or by the
//! sifting in `expiry`.

use cache_enterprise_core::Millis;

/// A tick is 2^6 ms.
const TICK_SHIFT: u32 = 6;
const LEVELS: usize = 5;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Dates further off wait in the last slots and are looked at again there: 2.1 years.
const HORIZON_TICKS: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - (1 << (SLOT_BITS * 4));

#[derive(Debug, Default)]
pub(crate) struct Wheel {
    /// The tick up to which everything was handled; its own slot may still hold records.
    elapsed: u64,
    occupied: [u64; LEVELS],
    /// Allocated with the first record.
    slots: Vec<Vec<u64>>,
    records: usize,
}

/// A place in the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    level: usize,
    index: usize,
    first_tick: u64,
}

impl Slot {
    /// Whether its records are due one by one, or have to move to a finer level.
    pub(crate) fn is_finest(self) -> bool {
        self.level == 0
    }

    /// Whether a record for this date belongs here.
    pub(crate) fn holds(self, end: Millis) -> bool {
        end >> TICK_SHIFT >= self.first_tick && self.ends_after(end)
    }

    /// Whether this date lies in what the slot spans, or before.
    pub(crate) fn ends_after(self, end: Millis) -> bool {
        let ticks = 1_u64 << (SLOT_BITS * self.level as u32);
        let is_open = self.level == LEVELS - 1;
        is_open || end >> TICK_SHIFT < self.first_tick + ticks
    }
}

impl Wheel {
    /// Records held.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// Puts the record of an entry that ends at `end` into its slot.
    pub(crate) fn schedule(&mut self, hash: u64, end: Millis) {
        let tick = (end >> TICK_SHIFT).clamp(self.elapsed, self.elapsed + HORIZON_TICKS);
        let level = level_of(self.elapsed, tick);
        let index = (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.push(level, index, hash);
    }

    /// Takes up to `most` records of the earliest slot that has come up at `now`.
    pub(crate) fn take_due(&mut self, now: Millis, most: usize) -> Option<(Slot, Vec<u64>)> {
        let now = now >> TICK_SHIFT;
        let slot = self.earliest().filter(|slot| slot.first_tick <= now);
        let Some(slot) = slot else {
            self.elapsed = self.elapsed.max(now);
            return None;
        };
        self.elapsed = self.elapsed.max(slot.first_tick);
        Some((slot, self.take(slot, most)))
    }

    /// Whether the slot's tick is still running at `now`: its records may end later in it.
    pub(crate) fn is_running(slot: Slot, now: Millis) -> bool {
        slot.is_finest() && slot.first_tick == now >> TICK_SHIFT
    }

    /// Records in the slot of the tick that runs at `now`, when nothing earlier is left.
    pub(crate) fn running_len(&self, now: Millis) -> Option<usize> {
        let slot = self.earliest()?;
        Self::is_running(slot, now).then(|| self.slots[position(slot.level, slot.index)].len())
    }

    /// Takes all records of the `number`-th slot, counted over all levels. `None` past the last.
    pub(crate) fn take_slot(&mut self, number: usize) -> Option<(Slot, Vec<u64>)> {
        if number >= self.slots.len() {
            return None;
        }
        let slot = self.slot_at(number / SLOTS, number % SLOTS);
        Some((slot, self.take(slot, usize::MAX)))
    }

    fn take(&mut self, slot: Slot, most: usize) -> Vec<u64> {
        let records = &mut self.slots[position(slot.level, slot.index)];
        let taken = if records.len() <= most {
            std::mem::take(records)
        } else {
            records.split_off(records.len() - most)
        };
        self.took(slot, taken.len());
        taken
    }

    fn took(&mut self, slot: Slot, count: usize) {
        self.records -= count;
        if self.slots[position(slot.level, slot.index)].is_empty() {
            self.occupied[slot.level] &= !(1 << slot.index);
        }
    }

    fn push(&mut self, level: usize, index: usize, hash: u64) {
        if self.slots.is_empty() {
            self.slots.resize_with(LEVELS * SLOTS, Vec::new);
        }
        let records = &mut self.slots[position(level, index)];
        if records.len() == records.capacity() {
            // Grows by a quarter: doubling would leave a third of the records' memory empty.
            records.reserve_exact((records.len() / 4).max(4));
        }
        records.push(hash);
        self.records += 1;
        self.occupied[level] |= 1 << index;
    }

    /// The occupied slot that comes up first: a coarse slot that has begun and was not taken
    /// whole, else one of the finest level that has any.
    fn earliest(&self) -> Option<Slot> {
        for level in 1..LEVELS {
            let here = (self.elapsed >> (SLOT_BITS * level as u32)) as usize % SLOTS;
            if self.occupied[level] & 1 << here != 0 {
                return Some(self.slot_at(level, here));
            }
        }
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        let here = (self.elapsed >> (SLOT_BITS * level as u32)) as u32 % SLOTS as u32;
        let ahead = self.occupied[level].rotate_right(here).trailing_zeros();
        Some(self.slot_at(level, (here + ahead) as usize % SLOTS))
    }

    fn slot_at(&self, level: usize, index: usize) -> Slot {
        let slot_ticks = 1_u64 << (SLOT_BITS * level as u32);
        let level_ticks = slot_ticks << SLOT_BITS;
        let mut first_tick = self.elapsed - self.elapsed % level_ticks + index as u64 * slot_ticks;
        if first_tick + slot_ticks <= self.elapsed {
            first_tick += level_ticks;
        }
        Slot { level, index, first_tick }
    }
}

/// The finest level on which the two ticks share a turn: the highest digit in which they differ.
fn level_of(elapsed: u64, tick: u64) -> usize {
    let differing = (elapsed ^ tick) | (SLOTS as u64 - 1);
    let level = (u64::BITS - 1 - differing.leading_zeros()) / SLOT_BITS;
    (level as usize).min(LEVELS - 1)
}

fn position(level: usize, index: usize) -> usize {
    level * SLOTS + index
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    /// Plays the wheel against a list of ends: what comes up by `now` is exactly what ends by the
    /// tick of `now`.
    fn play(seed: u64, longest: Millis, step: Millis) {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut wheel, mut ends, mut now) = (Wheel::default(), Vec::<Millis>::new(), 0);
        for _ in 0..2_000 {
            for _ in 0..random.random_range(0..8) {
                let end = now + random.random_range(0..longest);
                wheel.schedule(ends.len() as u64, end);
                ends.push(end);
            }
            now += random.random_range(0..step);
            let mut fired = Vec::new();
            while let Some((slot, records)) = wheel.take_due(now, 5) {
                let (due, later): (Vec<_>, Vec<_>) =
                    records.into_iter().partition(|hash| ends[*hash as usize] <= now);
                assert!(slot.is_finest() || due.iter().all(|h| slot.holds(ends[*h as usize])));
                fired.extend(due);
                for hash in later {
                    wheel.schedule(hash, ends[hash as usize]);
                }
                if Wheel::is_running(slot, now) {
                    break;
                }
            }
            for hash in fired {
                assert_ne!(ends[hash as usize], 0, "record {hash} came up twice");
                ends[hash as usize] = 0;
            }
            let tick_start = now >> TICK_SHIFT << TICK_SHIFT;
            let late = ends.iter().filter(|end| **end != 0 && **end < tick_start).count();
            assert_eq!(late, 0, "records left behind at {now} with seed {seed}");
        }
        assert_eq!(wheel.len(), ends.iter().filter(|end| **end != 0).count());
    }

    #[test]
    fn every_record_comes_up_once_and_in_its_tick() {
        for seed in 0..8 {
            play(seed, 2_000, 40);
            play(seed, 10_000_000, 5_000);
            play(seed, 400 * 86_400_000, 900_000);
        }
    }

    #[test]
    fn a_date_beyond_the_horizon_waits_for_years() {
        let mut wheel = Wheel::default();
        let end = 20 * 365 * 86_400_000;
        wheel.schedule(7, end);
        let (mut now, mut found) = (0, None);
        while found.is_none() {
            now += 30 * 86_400_000;
            while let Some((slot, records)) = wheel.take_due(now, 10) {
                if end <= now {
                    found = Some(now);
                    break;
                }
                assert!(slot.holds(end));
                wheel.schedule(records[0], end);
                if !slot.is_finest() && slot.first_tick << TICK_SHIFT > end {
                    break;
                }
            }
        }
        assert!(found.is_some_and(|at| at >= end && at - end <= 30 * 86_400_000));
    }

    #[test]
    fn an_unused_wheel_allocates_nothing() {
        let mut wheel = Wheel::default();
        assert!(wheel.take_due(1_000_000, 10).is_none());
        assert_eq!(wheel.slots.capacity(), 0);
    }
}
