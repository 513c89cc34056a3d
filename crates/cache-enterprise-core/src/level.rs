//! Places in the order of levels.

use std::fmt;

/// A place in the order in which a key is looked for: 1 is nearest to the caller.
///
/// ```
/// use cache_enterprise_core::CacheLevel;
///
/// assert_eq!(CacheLevel::numbered(2), Some(CacheLevel::L2));
/// assert_eq!(CacheLevel::numbered(5).map(|level| level.to_string()), Some("L5".to_owned()));
/// assert!(CacheLevel::L1 < CacheLevel::L3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CacheLevel {
    /// Typed values in the memory of this process.
    L1,
    /// The first tier.
    L2,
    /// The second tier.
    L3,
    /// A tier below: its number, from 4.
    Lower(u8),
}

impl CacheLevel {
    /// The level of this number; there is none of number 0.
    pub fn numbered(number: u8) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::L1),
            2 => Some(Self::L2),
            3 => Some(Self::L3),
            lower => Some(Self::Lower(lower)),
        }
    }

    /// The number of the level, from 1.
    pub const fn number(self) -> u8 {
        match self {
            Self::L1 => 1,
            Self::L2 => 2,
            Self::L3 => 3,
            Self::Lower(number) => number,
        }
    }
}

impl fmt::Display for CacheLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_zero_is_a_level_in_order() {
        assert_eq!(CacheLevel::numbered(0), None);
        let levels: Vec<_> = (1..=9).filter_map(CacheLevel::numbered).collect();
        assert!(levels.is_sorted());
        assert!(levels.iter().zip(1..).all(|(level, number)| level.number() == number));
    }
}
