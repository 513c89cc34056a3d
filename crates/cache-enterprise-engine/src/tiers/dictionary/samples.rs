//! Values of one kind to learn from: as many as fit, each that was written with the same chance.

use bytes::Bytes;

use super::DictionaryLimits;

/// A reservoir (J. Vitter's algorithm R, 1985) that is bounded in number and in bytes.
#[derive(Debug, Default)]
pub(super) struct Samples {
    kept: Vec<Bytes>,
    bytes: usize,
    seen: u64,
    is_full: bool,
}

impl Samples {
    /// Copies a value, or not: once there are enough, the later ones take the places of others by
    /// chance.
    pub(super) fn offer(&mut self, value: &[u8], limits: &DictionaryLimits) {
        self.seen += 1;
        let fits = self.bytes + value.len() <= limits.samples_bytes_max;
        if !self.is_full && fits {
            self.bytes += value.len();
            self.kept.push(Bytes::copy_from_slice(value));
            self.is_full = self.kept.len() >= limits.samples_max;
            return;
        }
        self.is_full = true;
        let place = usize::try_from(mixed(self.seen) % self.seen).unwrap_or(usize::MAX);
        let Some(old) = self.kept.get_mut(place) else { return };
        let bytes = self.bytes - old.len() + value.len();
        if bytes <= limits.samples_bytes_max {
            (*old, self.bytes) = (Bytes::copy_from_slice(value), bytes);
        }
    }

    /// Whether there are enough to learn from.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those to learn from, and every fourth to see by whether what was learned holds.
    pub(super) fn split(&self) -> (Vec<Bytes>, Vec<Bytes>) {
        let (tried, learned): (Vec<_>, Vec<_>) =
            self.kept.iter().cloned().enumerate().partition(|(place, _)| place % 4 == 3);
        let values = |some: Vec<(usize, Bytes)>| some.into_iter().map(|(_, value)| value).collect();
        (values(learned), values(tried))
    }
}

/// The finaliser of splitmix64: places follow no pattern of the writer's.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> DictionaryLimits {
        DictionaryLimits {
            samples_max: 100,
            samples_bytes_max: 10_000,
            value_bytes_max: 500,
            ..DictionaryLimits::default()
        }
    }

    #[test]
    fn every_value_has_the_same_chance_and_the_number_is_bounded() {
        let limits = DictionaryLimits { samples_max: 1_000, ..limits() };
        let mut samples = Samples::default();
        for at in 0..10_000_u32 {
            assert_eq!(samples.is_full(), at >= 1_000);
            samples.offer(&[u8::from(at >= 5_000), at as u8], &limits);
        }
        let (learned, tried) = samples.split();
        assert_eq!((learned.len(), tried.len(), samples.bytes()), (750, 250, 2_000));
        let from_the_first_half = learned.iter().filter(|value| value[0] == 0).count();
        // 375 on the average, with a deviation of 14; the draws are the same in every run.
        assert!((305..445).contains(&from_the_first_half), "{from_the_first_half}");
    }

    #[test]
    fn bytes_are_bounded_whatever_the_lengths() {
        let mut samples = Samples::default();
        for at in 0..5_000_usize {
            samples.offer(&vec![7; 64 + at * 37 % 437], &limits());
            assert!(samples.bytes() <= 10_000);
        }
        let (learned, tried) = samples.split();
        let sum: usize = learned.iter().chain(&tried).map(Bytes::len).sum();
        assert_eq!(sum, samples.bytes());
        assert!(samples.is_full() && sum > 8_000);
    }
}
