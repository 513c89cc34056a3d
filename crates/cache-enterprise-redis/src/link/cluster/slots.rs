//! Which slot of a cluster a key lies in.

use cache_enterprise_core::StoredKey;

use crate::key::RedisKey;

/// How many slots a cluster has, fixed by Redis.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a stored key: what stands in its braces decides alone.
pub(crate) fn slot_of_key(key: &StoredKey) -> u16 {
    crc16(RedisKey::of(key).tag_bytes()) % SLOTS
}

/// The slot of every key with this text in its braces.
pub(crate) fn slot_of_tag(tag: &str) -> u16 {
    crc16(tag.bytes()) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification asks: polynomial 0x1021, start 0.
fn crc16(bytes: impl Iterator<Item = u8>) -> u16 {
    bytes.fold(0, |sum, byte| {
        let index = usize::from((sum >> 8) as u8 ^ byte);
        (sum << 8) ^ CRC_TABLE[index]
    })
}

const CRC_TABLE: [u16; 256] = crc_table();

const fn crc_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    /// The check value of the algorithm, and slots that `CLUSTER KEYSLOT` names.
    #[test]
    fn slots_are_those_of_the_server() {
        assert_eq!(crc16(b"123456789".iter().copied()), 0x31c3);
        assert_eq!(["foo", "bar", ""].map(slot_of_tag), [12_182, 5_061, 0]);
    }

    #[test]
    fn the_braces_of_a_key_decide_its_slot() {
        let space = KeySpace::new("shop", "a{b}", "users").expect("short names");
        for number in 0..64_u32 {
            let key = space.key(&number).expect("a short key");
            let tag = RedisKey::of(&key).tag();
            assert_eq!(slot_of_key(&key), slot_of_tag(&tag));
        }
    }
}
