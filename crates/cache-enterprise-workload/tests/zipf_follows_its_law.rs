//! Drawn ranks have the frequencies of the exact law, and draws are rarely repeated.

#![allow(clippy::unwrap_used)]

use cache_enterprise_workload::Zipf;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

const DRAWS: usize = 400_000;

/// Ranks 1 to 32 stand alone, later ones share a cell with those of the same power of two.
fn cell(rank: u64) -> usize {
    if rank <= 32 { rank as usize - 1 } else { 27 + (rank - 1).ilog2() as usize }
}

/// Pearson's statistic of `DRAWS` ranks of `drawn` against the exact law, and its degrees of
/// freedom.
fn chi_square(drawn: Zipf, exponent: f64, seed: u64) -> (f64, f64) {
    let ranks = drawn.ranks();
    let mut expected = vec![0.0; cell(ranks) + 1];
    for rank in 1..=ranks {
        expected[cell(rank)] += (rank as f64).powf(-exponent);
    }
    let sum: f64 = expected.iter().sum();

    let mut counted = vec![0_u32; expected.len()];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    for _ in 0..DRAWS {
        counted[cell(drawn.sample(&mut rng))] += 1;
    }

    // Cells that hold under five expected draws join into one, as the statistic asks.
    let (mut statistic, mut cells) = (0.0, 0);
    let (mut rest_expected, mut rest_counted) = (0.0, 0.0);
    for (weight, count) in expected.iter().zip(counted) {
        let expected = weight / sum * DRAWS as f64;
        if expected < 5.0 {
            rest_expected += expected;
            rest_counted += f64::from(count);
        } else {
            statistic += (f64::from(count) - expected).powi(2) / expected;
            cells += 1;
        }
    }
    if rest_expected > 0.0 {
        statistic += (rest_counted - rest_expected).powi(2) / rest_expected.max(1.0);
        cells += 1;
    }
    (statistic, f64::from(cells - 1))
}

/// Four standard deviations above the mean of the statistic.
fn bound(freedom: f64) -> f64 {
    freedom + 4.0 * (2.0 * freedom).sqrt()
}

#[test]
fn frequencies_match_the_exact_law() {
    for (seed, exponent) in (1..).zip([0.0, 0.3, 0.7, 0.99, 1.0, 1.01, 1.5, 2.0, 4.0]) {
        for ranks in [2, 3, 100, 100_000] {
            let law = Zipf::new(ranks, exponent).unwrap();
            let (statistic, freedom) = chi_square(law, exponent, seed);
            assert!(
                statistic <= bound(freedom),
                "s {exponent}, n {ranks}: {statistic:.1} with {freedom} degrees of freedom"
            );
        }
    }
}

#[test]
fn a_slightly_wrong_law_would_be_noticed() {
    for exponent in [0.7, 0.99, 1.5] {
        let wrong = Zipf::new(100_000, exponent + 0.01).unwrap();
        let (statistic, freedom) = chi_square(wrong, exponent, 1);
        assert!(statistic > bound(freedom), "s {exponent}: {statistic:.1}");
    }
}

#[test]
fn one_rank_is_always_one() {
    let law = Zipf::new(1, 0.99).unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    assert!((0..1000).all(|_| law.sample(&mut rng) == 1));
}

#[test]
fn the_largest_laws_stay_in_range_and_reach_their_far_half() {
    let ranks = 1 << 40;
    for exponent in [0.0, 0.99, 1.0, 100.0] {
        let law = Zipf::new(ranks, exponent).unwrap();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let drawn: Vec<u64> = (0..10_000).map(|_| law.sample(&mut rng)).collect();
        assert!(drawn.iter().all(|rank| (1..=ranks).contains(rank)), "s {exponent}");
        assert_eq!(drawn.iter().any(|&rank| rank > ranks / 2), exponent <= 1.0, "s {exponent}");
    }
}

#[test]
fn the_same_seed_gives_the_same_ranks() {
    let law = Zipf::new(1_000_000, 0.99).unwrap();
    let draw = |seed| {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..100).map(|_| law.sample(&mut rng)).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

/// Counts what a draw takes from its generator: one number, and one more for each repetition.
struct Counting(Xoshiro256PlusPlus, usize);

impl rand::rand_core::TryRng for Counting {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.1 += 1;
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.1 += 1;
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.1 += 1;
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

#[test]
fn under_one_draw_in_ten_is_repeated() {
    for exponent in [0.0, 0.5, 0.99, 1.5, 3.0, 10.0] {
        for ranks in [2, 10, 1_000_000] {
            let law = Zipf::new(ranks, exponent).unwrap();
            let mut rng = Counting(Xoshiro256PlusPlus::seed_from_u64(9), 0);
            for _ in 0..20_000 {
                law.sample(&mut rng);
            }
            assert!(rng.1 < 22_000, "s {exponent}, n {ranks}: {} numbers", rng.1);
        }
    }
}
