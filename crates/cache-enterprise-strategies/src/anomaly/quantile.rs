//! The place of a number among those seen lately.

use std::collections::VecDeque;

/// The share of numbers that count as the tail.
const TAIL: f64 = 0.05;
/// Fewer numbers tell nothing of how a tail goes on.
const TAIL_LEAST: usize = 16;

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

    /// As [`place`](Self::place), but within the tail by the law it seems to follow: each so much
    /// further is half as likely, as far as the middle of the tail lies above its begin. So what
    /// is far beyond all that was seen has another place than what is a little beyond, and a
    /// threshold may be passed less often than once in as many numbers as are remembered. The
    /// middle is moved little by what does not belong there. (Extremes of streams by their tail:
    /// A. Siffer, P. Fouque, A. Termier, C. Largouet, KDD 2017.)
    pub(super) fn place_in_tail(&self, raw: f32) -> f64 {
        let tail = (self.sorted.len() as f64 * TAIL) as usize;
        if tail < TAIL_LEAST {
            return self.place(raw);
        }
        let share = tail as f64 / self.sorted.len() as f64;
        let begin = f64::from(self.sorted[self.sorted.len() - tail - 1]);
        let beyond = f64::from(raw) - begin;
        if beyond <= 0.0 {
            // Equal numbers may reach into the tail.
            return self.place(raw).min(1.0 - share);
        }
        let middle = f64::from(self.sorted[self.sorted.len() - tail / 2 - 1]);
        let half_life = (middle - begin).max(f64::from(f32::EPSILON));
        1.0 - share * (-beyond / half_life).exp2()
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

    #[test]
    fn places_in_the_tail_go_on_beyond_all_that_was_seen() {
        let mut quantile = Quantile::new(4_096);
        // Numbers whose tail is exponential: one in 2^n lies above n.
        for at in 0..4_096u32 {
            quantile.keep(-((f64::from(at) + 0.5) / 4_096.0).log2() as f32);
        }
        for above in [5.0f32, 8.0, 11.0, 14.0, 20.0] {
            let unlikely = 1.0 - quantile.place_in_tail(above);
            let expected = f64::from(-above).exp2();
            assert!((unlikely / expected - 1.0).abs() < 0.25, "{above}: {unlikely}");
        }
        assert_eq!(quantile.place_in_tail(1.0), quantile.place(1.0));
    }

    proptest! {
        #[test]
        fn the_tail_keeps_the_order_of_places(
            numbers in prop::collection::vec(-50_i32..50, 0..600),
            pair in (-60_i32..60, -60_i32..60),
        ) {
            let mut quantile = Quantile::new(512);
            numbers.iter().for_each(|number| quantile.keep(*number as f32));
            let (low, high) = (pair.0.min(pair.1), pair.0.max(pair.1));
            let places = [low, high].map(|number| quantile.place_in_tail(number as f32));
            prop_assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
            prop_assert!(places[0] <= places[1], "{low} {high} {places:?}");
        }

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
