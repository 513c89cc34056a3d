//! How much dictionaries may take, and when one is worth it.

use std::time::Duration;

use cache_enterprise_core::{Error, Result, hours};

/// What dictionaries may cost and what they must save.
///
/// Memory in each process: samples of `kinds_max * samples_bytes_max` bytes at most, 16 MiB by
/// default, and the dictionaries themselves: of each kind the one that packs, and up to 128 lately
/// read ones, each five to ten times as large as its bytes. In a tier: `bytes_max` for each kind of
/// each cache and tenant, and for each older one as long as values packed with it live.
///
/// ```
/// use cache_enterprise_engine::DictionaryLimits;
///
/// let frugal = DictionaryLimits { kinds_max: 4, ..DictionaryLimits::default() };
/// assert_eq!(frugal.kinds_max * frugal.samples_bytes_max, 2 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DictionaryLimits {
    /// Longest dictionary in bytes, 1 KiB to 112 KiB. The default is 16 KiB.
    pub bytes_max: usize,
    /// Values of a kind that are kept to learn from, at least 16: once there are so many, they are
    /// learned from. The default is 512.
    pub samples_max: usize,
    /// Bytes of a kind that are kept to learn from; these, too, are enough. The default is 512 KiB.
    pub samples_bytes_max: usize,
    /// Values of fewer bytes are not packed with a dictionary. The default is 64.
    pub value_bytes_min: usize,
    /// Values of more bytes are neither learned from nor packed with a dictionary, which would save
    /// little of them. The default is 8 KiB.
    pub value_bytes_max: usize,
    /// Kinds of data of all caches and tenants that may have a dictionary at once. One that was not
    /// written for ten minutes makes room. The default is 32.
    pub kinds_max: usize,
    /// Share of what is stored without it that a dictionary must save on values it was not trained
    /// with, 0 to 1. The default is 0.1.
    pub gain_min: f64,
    /// How long after a dictionary was trained, or found not worth it, a better one is looked for;
    /// each later time twice as long. The default is an hour.
    pub retrain_after: Duration,
}

impl Default for DictionaryLimits {
    fn default() -> Self {
        Self {
            bytes_max: 16 << 10,
            samples_max: 512,
            samples_bytes_max: 512 << 10,
            value_bytes_min: 64,
            value_bytes_max: 8 << 10,
            kinds_max: 32,
            gain_min: 0.1,
            retrain_after: hours(1),
        }
    }
}

/// Longest dictionary that is taken from a tier, whoever wrote it.
pub(super) const DICTIONARY_BYTES_MAX: usize = 112 << 10;

/// Fewer samples prove nothing.
const SAMPLES_LEAST: usize = 16;

impl DictionaryLimits {
    /// # Errors
    /// When one is out of its range; the error names it.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |name: &'static str, range: &'static str| {
            let error = Error::config("a limit of dictionaries is out of its range");
            Err(error.with("limit", name).with("range", range))
        };
        if !(1 << 10..=DICTIONARY_BYTES_MAX).contains(&self.bytes_max) {
            return refused("bytes_max", "1 KiB to 112 KiB");
        }
        if self.samples_max < SAMPLES_LEAST {
            return refused("samples_max", "16 and more");
        }
        if self.value_bytes_min > self.value_bytes_max {
            return refused("value_bytes_min", "at most value_bytes_max");
        }
        if self.samples_bytes_max < self.value_bytes_max.saturating_mul(SAMPLES_LEAST) {
            return refused("samples_bytes_max", "16 values of value_bytes_max and more");
        }
        if self.kinds_max == 0 {
            return refused("kinds_max", "1 and more");
        }
        if !(0.0..=1.0).contains(&self.gain_min) {
            return refused("gain_min", "0 to 1");
        }
        Ok(())
    }

    /// Whether a value of this length has to do with dictionaries.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        (self.value_bytes_min..=self.value_bytes_max).contains(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let usual = DictionaryLimits::default();
        assert!(usual.check().is_ok());
        for (limits, name) in [
            (DictionaryLimits { bytes_max: 100, ..usual }, "bytes_max"),
            (DictionaryLimits { bytes_max: 1 << 20, ..usual }, "bytes_max"),
            (DictionaryLimits { samples_max: 15, ..usual }, "samples_max"),
            (DictionaryLimits { samples_bytes_max: 8 << 10, ..usual }, "samples_bytes_max"),
            (DictionaryLimits { value_bytes_min: 9 << 10, ..usual }, "value_bytes_min"),
            (DictionaryLimits { kinds_max: 0, ..usual }, "kinds_max"),
            (DictionaryLimits { gain_min: f64::NAN, ..usual }, "gain_min"),
        ] {
            let refused = limits.check().map_err(|error| error.to_string());
            assert!(refused.is_err_and(|text| text.contains(&format!("limit: {name},"))), "{name}");
        }
    }
}
