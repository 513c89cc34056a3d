//! Hashes that are the same in every process and release: they stand in model files.

/// The finaliser of splitmix64: every bit of the result hangs on every bit of `value`.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Both in this order.
pub(crate) const fn pair(left: u64, right: u64) -> u64 {
    mix(left.rotate_left(32) ^ mix(right))
}

/// FNV-1a, then [`mix`], since its high bits alone are weak for short texts.
pub(crate) const fn bytes(text: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < text.len() {
        hash = (hash ^ text[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    mix(hash)
}

/// A number from 0 to below 1 out of the upper bits.
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(bytes(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_ne!(pair(1, 2), pair(2, 1));
        assert!(unit(u64::MAX) < 1.0);
    }
}
