//! The place of a number among those seen lately.

use std::collections::VecDeque;

/// The last so many numbers, sorted and in order of arrival. Cost of a number: a binary search and
/// a move of at most all of them, 8 KiB at 2 048.
#[derive(Clone, Debug)]
pub(super) struct Quantile {
    sorted: Vec<f32>,
    order: VecDeque<f32>,
    room: usize,
}

impl Quantile {
    pub(super) fn new(room: usize) -> Self {
        Self { sorted: Vec::with_capacity(room), order: VecDeque::with_capacity(room), room }
    }

    /// The share of earlier numbers below `raw`, where equal ones count half. `raw` is finite.
    pub(super) fn place(&self, raw: f32) -> f64 {
        let below = self.sorted.partition_point(|known| *known < raw);
        let not_above = self.sorted.partition_point(|known| *known <= raw);
        (below + not_above) as f64 / 2.0 / self.sorted.len().max(1) as f64
    }

    /// Takes in a number; the one that came longest ago goes.
    pub(super) fn keep(&mut self, raw: f32) {
        if self.order.len() == self.room
            && let Some(oldest) = self.order.pop_front()
        {
            let at = self.sorted.partition_point(|known| *known < oldest);
            self.sorted.remove(at);
        }
        let at = self.sorted.partition_point(|known| *known < raw);
        self.sorted.insert(at, raw);
        self.order.push_back(raw);
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The number in the middle; 0 while there is none.
    pub(super) fn median(&self) -> f32 {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_sorting_the_last_ones_gives(
            numbers in prop::collection::vec(-50_i32..50, 1..200),
            room in 1_usize..40,
        ) {
            let mut quantile = Quantile::new(room);
            for (at, number) in numbers.iter().enumerate() {
                let last = &numbers[at.saturating_sub(room)..at];
                let below = last.iter().filter(|other| *other < number).count() as f64;
                let equal = last.iter().filter(|other| *other == number).count() as f64;
                let expected = (below + equal / 2.0) / last.len().max(1) as f64;
                prop_assert!((quantile.place(*number as f32) - expected).abs() < 1e-9);
                quantile.keep(*number as f32);
                prop_assert!(quantile.sorted.is_sorted() && quantile.len() <= room);
            }
        }
    }
}
