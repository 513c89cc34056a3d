//! One record: a header of 32 bytes, then the value.
//!
//! ```text
//! 0        format, 1 now      4..8   length of the value    16..24  expiry, wall ms; max = never
//! 1        value or removed   8..16  version                24..32  checksum
//! ```
//!
//! Numbers are little-endian. The checksum (xxh3) covers header, key and value, so a value that
//! ended up under another key is damage as well. It is compared when a record comes out of a
//! file, and not while it is still in the memory that it was sealed in.

use bytes::{Buf, Bytes};
use cache_enterprise_core::Sequence;
use twox_hash::XxHash3_64;

/// Bytes in front of every value.
pub(crate) const HEADER_BYTES: usize = 32;

const FORMAT: u8 = 1;
const CHECKSUM_AT: usize = 24;
const NEVER: i64 = i64::MAX;

/// The hash of a key's text: its stripe, its mark and its part of the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash(pub(crate) u64);

impl KeyHash {
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(XxHash3_64::oneshot(key))
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value stands under the key.
    Value,
    /// Nothing stands under the key; hides older records.
    Removed,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) version: Sequence,
    /// Wall time in milliseconds from which the value is a miss; `None` never comes.
    pub(crate) expires: Option<i64>,
}

impl Head {
    pub(crate) fn removed(version: Sequence) -> Self {
        Self { kind: Kind::Removed, version, expires: None }
    }

    /// Whether a value may be served at the wall time that `wall_ms` gives. A record that never
    /// expires does not ask for it.
    pub(crate) fn is_live(&self, wall_ms: impl FnOnce() -> i64) -> bool {
        self.kind == Kind::Value && self.expires.is_none_or(|expires| wall_ms() < expires)
    }

    /// Reads the header alone, without its checksum: for passes over whole generations.
    pub(crate) fn peek(record: &[u8]) -> Option<Self> {
        if record.len() < HEADER_BYTES || record[0] != FORMAT {
            return None;
        }
        let kind = match record[1] {
            0 => Kind::Value,
            1 => Kind::Removed,
            _ => return None,
        };
        let expires = i64::from_le_bytes(eight(record, 16));
        Some(Self {
            kind,
            version: Sequence(u64::from_le_bytes(eight(record, 8))),
            expires: (expires != NEVER).then_some(expires),
        })
    }

    fn write(&self, length: u32) -> [u8; CHECKSUM_AT] {
        let mut bytes = [0; CHECKSUM_AT];
        bytes[0] = FORMAT;
        bytes[1] = match self.kind {
            Kind::Value => 0,
            Kind::Removed => 1,
        };
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.version.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.expires.unwrap_or(NEVER).to_le_bytes());
        bytes
    }
}

/// Header, checksum and value as one piece of bytes: one allocation, one copy of the value.
/// Values are far below 4 GiB: the backend's own limit is 64 MiB.
pub(crate) fn seal(hash: KeyHash, head: Head, value: &[u8]) -> Bytes {
    let length = u32::try_from(value.len()).expect("the backend refuses values over 64 MiB");
    let start = head.write(length);
    let mut record = Vec::with_capacity(HEADER_BYTES + value.len());
    record.extend_from_slice(&start);
    record.extend_from_slice(&checksum(hash, &start, value).to_le_bytes());
    record.extend_from_slice(value);
    record.into()
}

/// Checks a record and takes it apart without a copy; `None` when a bit is not as it was sealed.
pub(crate) fn open(hash: KeyHash, record: Bytes) -> Option<(Head, Bytes)> {
    let (start, value) = record.split_at_checked(HEADER_BYTES)?;
    let stored = u64::from_le_bytes(eight(start, CHECKSUM_AT));
    let is_whole = stored == checksum(hash, &start[..CHECKSUM_AT], value);
    if is_whole { open_trusted(record) } else { None }
}

/// As [`open`] for a record that never left memory: its shape is checked, its checksum is not,
/// so the value is not read.
pub(crate) fn open_trusted(mut record: Bytes) -> Option<(Head, Bytes)> {
    let head = Head::peek(&record)?;
    let length = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
    record.advance(HEADER_BYTES);
    let is_whole = usize::try_from(length).is_ok_and(|length| length == record.len());
    is_whole.then_some((head, record))
}

fn checksum(hash: KeyHash, start: &[u8], value: &[u8]) -> u64 {
    let mut all = [0; CHECKSUM_AT + 16];
    all[..CHECKSUM_AT].copy_from_slice(start);
    all[CHECKSUM_AT..CHECKSUM_AT + 8].copy_from_slice(&hash.0.to_le_bytes());
    all[CHECKSUM_AT + 8..].copy_from_slice(&XxHash3_64::oneshot(value).to_le_bytes());
    XxHash3_64::oneshot(&all)
}

fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    let mut part = [0; 8];
    part.copy_from_slice(&bytes[at..at + 8]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { kind: Kind::Value, version: Sequence(7), expires: Some(1_234) };

    #[test]
    fn what_was_sealed_opens_again() {
        let hash = KeyHash::of(b"a:b:c:d");
        for head in [HEAD, Head { expires: None, ..HEAD }, Head::removed(Sequence(9))] {
            let record = seal(hash, head, b"value");
            assert_eq!(open(hash, record.clone()), Some((head, Bytes::from_static(b"value"))));
            assert_eq!(Head::peek(&record), Some(head));
            assert_eq!(open_trusted(record), open(hash, seal(hash, head, b"value")));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let hash = KeyHash::of(b"a:b:c:d");
        let record = seal(hash, HEAD, b"value");
        for bit in 0..record.len() * 8 {
            // Bytes 2 and 3 are reserved, and the checksum covers them too.
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(hash, flipped.into()), None, "bit {bit}");
        }
        for length in 0..record.len() {
            assert_eq!(open(hash, record.slice(..length)), None, "cut to {length}");
            assert_eq!(open_trusted(record.slice(..length)), None, "cut to {length}");
        }
        assert_eq!(open(KeyHash::of(b"another"), record), None);
    }

    #[test]
    fn a_value_ends_at_its_exact_millisecond() {
        assert!(HEAD.is_live(|| 1_233));
        assert!(!HEAD.is_live(|| 1_234));
        let unasked = || panic!("needs no clock");
        assert!(Head { expires: None, ..HEAD }.is_live(unasked));
        assert!(!Head::removed(Sequence(1)).is_live(unasked));
    }
}
