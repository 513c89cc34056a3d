//! Whether losses have risen.

use cache_enterprise_core::Result;

use crate::bounds;

/// The Page-Hinkley test (E. Page, "Continuous inspection schemes", 1954): sums how far losses lie
/// above their mean so far, and raises the alarm when the sum stands `threshold` above its lowest.
///
/// With losses of 0 or 1, a tolerance of 0.05 and a threshold of 25, a rise of the mean by 0.15 is
/// noticed after about 250 losses; without one an alarm comes about once in millions.
///
/// ```
/// use cache_enterprise_strategies::predict::model::PageHinkley;
///
/// let mut test = PageHinkley::new(0.05, 25.0)?;
/// assert!(!(0..500).any(|at| test.observe(f64::from(at % 2))));
/// assert!((0..100).any(|_| test.observe(1.0)));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageHinkley {
    tolerance: f64,
    threshold: f64,
    seen: u64,
    mean: f64,
    sum: f64,
    lowest: f64,
}

impl PageHinkley {
    /// A test that has seen nothing.
    ///
    /// # Errors
    /// When `tolerance` does not lie in 0 to 1 or `threshold` not in 0.1 to 10^6.
    pub fn new(tolerance: f64, threshold: f64) -> Result<Self> {
        let tolerance = bounds::within("tolerance", tolerance, 0.0..=1.0)?;
        let threshold = bounds::within("threshold", threshold, 0.1..=1e6)?;
        Ok(Self { tolerance, threshold, seen: 0, mean: 0.0, sum: 0.0, lowest: 0.0 })
    }

    /// Takes in a loss, and answers whether losses have risen; the test then starts anew. What is
    /// not finite is passed over.
    pub fn observe(&mut self, loss: f64) -> bool {
        if !loss.is_finite() {
            return false;
        }
        self.seen += 1;
        self.mean += (loss - self.mean) / self.seen as f64;
        self.sum += loss - self.mean - self.tolerance;
        self.lowest = self.lowest.min(self.sum);
        let has_risen = self.sum - self.lowest > self.threshold;
        if has_risen {
            self.restart();
        }
        has_risen
    }

    /// Forgets the losses so far: those to come are of another model.
    pub(super) fn restart(&mut self) {
        (self.seen, self.mean, self.sum, self.lowest) = (0, 0.0, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::hash;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        assert!(PageHinkley::new(f64::NAN, 1.0).unwrap_err().to_string().contains("tolerance"));
        assert!(PageHinkley::new(0.1, 0.0).unwrap_err().to_string().contains("threshold"));
    }

    #[test]
    fn a_rise_is_noticed_and_steady_losses_are_not() {
        let loss = |at: u64, mean: f64| f64::from(u8::from(hash::unit(hash::mix(at)) < mean));
        let mut test = PageHinkley::new(0.05, 25.0).unwrap();
        assert!(!(0..200_000).any(|at| test.observe(loss(at, 0.3))));
        let noticed = (0..5_000).position(|at| test.observe(loss(1 << 40 | at, 0.6)));
        assert!(noticed.is_some_and(|after| after < 500), "{noticed:?}");
        assert!(!test.observe(f64::NAN));
    }
}
