//! Zipf's law by rejection-inversion, exact and without tables.
//!
//! W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", ACM Transactions on Modeling and Computer Simulation 6(3), 1996.
//!
//! The law's weights `k^-s` lie on the curve `h(x) = x^-s`, whose area `H` and the inverse of `H`
//! have closed forms. An area is drawn evenly, its inverse rounded to a rank `k`, which owns the
//! areas from `H(k - 1/2)` to `H(k + 1/2)`. `h` is convex, so that is never less than `h(k)`: the
//! rank is kept when the draw lies in the upper `h(k)` of what it owns, else the draw is repeated.
//! Kept ranks follow the law exactly, up to the rounding of `f64`.

use rand::Rng;

use crate::ParameterError;

/// Largest number of ranks: up to here rounding moves a drawn point by about a hundredth of a rank.
const RANKS_MAX: u64 = 1 << 40;

/// Zipf's law over the ranks `1..=n`: rank `k` has a probability proportional to `k^-s`.
///
/// Making it costs a few logarithms whatever `n` is; a draw costs one or two more and is repeated
/// in under one of ten cases. The same generator state gives the same rank wherever the
/// mathematical functions of the platform round alike.
///
/// ```
/// use cache_enterprise_workload::Zipf;
/// use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
///
/// let law = Zipf::new(1_000_000, 0.99)?;
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
/// let hot = (0..10_000).filter(|_| law.sample(&mut rng) <= 1_000).count();
/// assert!((4_500..5_500).contains(&hot), "a thousandth of the ranks takes about half: {hot}");
/// # Ok::<(), cache_enterprise_workload::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Zipf {
    ranks: u64,
    exponent: f64,
    /// `H(3/2) - h(1)`: areas below would be rank 1's and always rejected.
    area_start: f64,
    /// `H(n + 1/2)`.
    area_end: f64,
    /// A point at most this far left of its rank is kept, whatever the rank.
    always_kept: f64,
}

impl Zipf {
    /// The law over `1..=ranks` with the given exponent; 0 makes all ranks alike, web and key-value
    /// workloads lie between 0.6 and 1.1.
    ///
    /// # Errors
    /// When `ranks` is not in `1..=2^40` or `exponent` not in `0.0..=100.0`.
    pub fn new(ranks: u64, exponent: f64) -> Result<Self, ParameterError> {
        if !(1..=RANKS_MAX).contains(&ranks) {
            return Err(ParameterError::new("ranks", "must lie in 1..=2^40"));
        }
        if !(0.0..=100.0).contains(&exponent) {
            return Err(ParameterError::new("exponent", "must lie in 0.0..=100.0"));
        }
        let curve = Curve { exponent };
        Ok(Self {
            ranks,
            exponent,
            area_start: curve.integral(1.5) - 1.0,
            area_end: curve.integral(ranks as f64 + 0.5),
            always_kept: 2.0 - curve.integral_inverse(curve.integral(2.5) - curve.height(2.0)),
        })
    }

    /// Number of ranks.
    pub fn ranks(&self) -> u64 {
        self.ranks
    }

    /// The exponent `s`.
    pub fn exponent(&self) -> f64 {
        self.exponent
    }

    /// Draws one rank from `1..=n`.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> u64 {
        let curve = Curve { exponent: self.exponent };
        loop {
            let area = self.area_end + unit_interval(rng) * (self.area_start - self.area_end);
            let x = curve.integral_inverse(area);
            let rank = x.round().clamp(1.0, self.ranks as f64);
            let is_kept = rank - x <= self.always_kept
                || area >= curve.integral(rank + 0.5) - curve.height(rank);
            if is_kept {
                return rank as u64;
            }
        }
    }
}

/// The next number of `[0, 1)`, a multiple of `2^-53`.
pub(crate) fn unit_interval<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    (rng.next_u64() >> 11) as f64 * (-53_f64).exp2()
}

/// `h(x) = x^-s`, its integral `H` and the inverse of that.
struct Curve {
    exponent: f64,
}

impl Curve {
    fn height(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// `(x^(1-s) - 1) / (1-s)`, and `ln x` for `s = 1`, in a form that is smooth between the two.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        exp_m1_over((1.0 - self.exponent) * log) * log
    }

    fn integral_inverse(&self, area: f64) -> f64 {
        // Rounding may carry the argument over the pole at -1.
        let t = (area * (1.0 - self.exponent)).max(-1.0);
        (ln_1p_over(t) * area).exp()
    }
}

/// Below this the quotients lose digits and their series are exact to the last bit with four terms.
const SERIES_BELOW: f64 = 1e-8;

/// `(e^x - 1) / x`, and 1 at 0.
fn exp_m1_over(x: f64) -> f64 {
    if x.abs() > SERIES_BELOW { x.exp_m1() / x } else { 1.0 + x / 2.0 * (1.0 + x / 3.0) }
}

/// `ln(1 + x) / x`, and 1 at 0.
fn ln_1p_over(x: f64) -> f64 {
    if x.abs() > SERIES_BELOW { x.ln_1p() / x } else { 1.0 - x * (0.5 - x / 3.0) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_integral_and_its_inverse_undo_each_other() {
        for exponent in [0.0, 0.5, 0.99, 1.0 - 1e-12, 1.0, 1.0 + 1e-12, 1.2, 3.0] {
            let curve = Curve { exponent };
            for x in [0.6, 1.0, 1.5, 2.0, 10.0, 1234.5] {
                let back = curve.integral_inverse(curve.integral(x));
                assert!((back - x).abs() < 1e-7 * x, "s {exponent}, x {x}: {back}");
            }
        }
    }

    #[test]
    fn laws_that_cannot_be_are_refused() {
        for (ranks, exponent) in
            [(0, 1.0), (RANKS_MAX + 1, 1.0), (9, -0.1), (9, 101.0), (9, f64::NAN)]
        {
            assert!(Zipf::new(ranks, exponent).is_err(), "{ranks} {exponent}");
        }
        assert_eq!(Zipf::new(9, f64::NAN).unwrap_err().parameter(), "exponent");
    }
}
