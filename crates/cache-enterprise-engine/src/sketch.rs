//! How often keys were asked for, roughly, in fixed memory.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A count-min sketch with conservative counting (Cormode and Muthukrishnan 2005; Estan and
/// Varghese 2002) whose counters are halved every so many notes, so that what was hot long ago
/// cools down. A collision makes a key look hotter, never colder.
///
/// Counting takes no lock: two notes at once may count as one, which is as rough as the rest.
#[derive(Debug)]
pub(crate) struct Sketch {
    counters: Box<[AtomicU8]>,
    notes: AtomicU32,
}

/// Counters in a row: 64 KiB for all rows.
const WIDTH: usize = 1 << 14;
const ROWS: usize = 4;
/// Notes between two halvings.
const AGE: u32 = 10 * WIDTH as u32;

impl Sketch {
    pub(crate) fn new() -> Self {
        let counters = (0..WIDTH * ROWS).map(|_| AtomicU8::new(0)).collect();
        Self { counters, notes: AtomicU32::new(0) }
    }

    /// Counts one demand for the key of this hash, and answers how many there were.
    pub(crate) fn note(&self, hash: u64) -> u32 {
        let count = self.count(hash).saturating_add(1);
        for counter in self.places(hash) {
            counter.fetch_max(count, Ordering::Relaxed);
        }
        if self.notes.fetch_add(1, Ordering::Relaxed) % AGE == AGE - 1 {
            self.halve();
        }
        count.into()
    }

    fn count(&self, hash: u64) -> u8 {
        let counts = self.places(hash).map(|counter| counter.load(Ordering::Relaxed));
        counts.min().unwrap_or(0)
    }

    /// One counter a row. Two halves of one hash make as many as are needed (Kirsch and
    /// Mitzenmacher 2006).
    fn places(&self, hash: u64) -> impl Iterator<Item = &AtomicU8> {
        let (first, step) = (hash as usize, (hash >> 32) as usize | 1);
        (0..ROWS).map(move |row| {
            let column = first.wrapping_add(row.wrapping_mul(step)) % WIDTH;
            &self.counters[row * WIDTH + column]
        })
    }

    fn halve(&self) {
        for counter in &self.counters {
            // A note that comes between is lost, which is half as bad as it sounds.
            counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    fn hash(key: u64) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
    }

    #[test]
    fn a_key_is_never_colder_than_it_was_noted_and_seldom_much_hotter() {
        let sketch = Sketch::new();
        for round in 1..=5 {
            for key in 0..1_000 {
                assert!(sketch.note(hash(key)) >= round, "{key}");
            }
        }
        let wrong = (1_000..11_000).filter(|key| sketch.count(hash(*key)) > 0).count();
        assert!(wrong < 10, "{wrong} of 10000 keys that nobody asked for look warm");
    }

    #[test]
    fn what_was_hot_cools_down() {
        let sketch = Sketch::new();
        for _ in 0..100 {
            sketch.note(hash(7));
        }
        assert_eq!(sketch.count(hash(7)), 100);
        for key in 100..AGE {
            sketch.note(hash(u64::from(key) + 1_000));
        }
        let left = sketch.count(hash(7));
        assert!((50..60).contains(&left), "{left}");
    }
}
