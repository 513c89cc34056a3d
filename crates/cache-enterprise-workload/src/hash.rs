//! Hashes that stay the same on every platform and in every version.
//!
//! Sizes of generated values and ids of written traces depend on them, so the hashers of the
//! standard library, which may change, do not serve here.

/// The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): a bijection of the 64-bit
/// numbers in which every input bit reaches every output bit.
pub(crate) fn number(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a over the bytes, finished by [`number`] because FNV mixes its high bits poorly.
pub(crate) fn text(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    number(text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// Two hashes as one; the order of the two matters.
pub(crate) fn pair(first: u64, second: u64) -> u64 {
    number(number(first) ^ second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first output of SplitMix64 from seed 0, and a value worked out by hand for the empty
    /// text.
    #[test]
    fn known_values() {
        assert_eq!(number(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(text(""), number(0xcbf2_9ce4_8422_2325));
        assert_eq!(text("a"), number(0xaf63_dc4c_8601_ec8c));
    }
}
