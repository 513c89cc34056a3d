//! The bytes of an item on a server: a small head, the key where the name is a hash, the value.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 2 | `ce` |
//! | 2 | 1 | version of this layout: 1 |
//! | 3 | 1 | 0 a value, 1 a removal |
//! | 4 | 2 | length of the carried key |
//! | 6 | 2 | length of the lease: 0 or 16 |
//! | 8 | 8 | version of the value or the removal |
//! | 16 | 8 | wall time in milliseconds from which the value is a miss; `i64::MAX` never comes |
//! | 24 | | lease, carried key, then value |
//!
//! The lease is its token and the wall time in milliseconds from which it is free, 8 bytes each.
//! Numbers are little-endian. The flags of an item stay 0: other clients take them for the type of
//! the value, and some unpack what they find there.

use bytes::{Buf, Bytes};
use cache_enterprise_core::coherence::LeaseToken;
use cache_enterprise_core::{KEY_BYTES_MAX, Sequence};

/// Bytes in front of the lease.
pub(crate) const HEAD_BYTES: usize = 24;
const LEASE_BYTES: usize = 16;
/// Room that a value must leave in an item for everything else: head, longest carried key, name,
/// and what the server adds to each item.
pub(crate) const ROOM_BYTES: usize = 2 * 1024 + KEY_BYTES_MAX;

const MAGIC: [u8; 3] = [b'c', b'e', 1];
const NEVER: i64 = i64::MAX;

/// Whether something stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value.
    Value,
    /// A removal, kept for a while so that older values are refused.
    Removed,
}

/// The newest lease on the item's key, which may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) token: LeaseToken,
    /// Wall time in milliseconds from which it is free.
    pub(crate) until: i64,
}

/// What an item says before its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) version: Sequence,
    /// Wall time in milliseconds from which the value is a miss; `None` never comes.
    pub(crate) expires: Option<i64>,
    pub(crate) lease: Option<Leased>,
}

impl Head {
    pub(crate) fn removed(version: Sequence) -> Self {
        Self { kind: Kind::Removed, version, expires: None, lease: None }
    }

    /// Whether a value may be served at this wall time.
    pub(crate) fn is_live(&self, wall_ms: i64) -> bool {
        self.kind == Kind::Value && self.expires.is_none_or(|expires| wall_ms < expires)
    }
}

/// What was found under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An item of the key.
    Own(Head, Bytes),
    /// An item of another key with the same hash.
    OtherKey,
    /// Bytes that nobody here wrote.
    Foreign,
}

/// Head, carried key and value as one piece of bytes.
pub(crate) fn seal(head: Head, carried: &str, value: &[u8]) -> Bytes {
    let length = u16::try_from(carried.len()).expect("stored keys have at most 8 KiB");
    let lease_bytes = if head.lease.is_some() { LEASE_BYTES } else { 0 };
    let mut item = Vec::with_capacity(HEAD_BYTES + lease_bytes + carried.len() + value.len());
    item.extend_from_slice(&MAGIC);
    item.push(match head.kind {
        Kind::Value => 0,
        Kind::Removed => 1,
    });
    item.extend_from_slice(&length.to_le_bytes());
    item.extend_from_slice(&[lease_bytes as u8, 0]);
    item.extend_from_slice(&head.version.0.to_le_bytes());
    item.extend_from_slice(&head.expires.unwrap_or(NEVER).to_le_bytes());
    if let Some(lease) = head.lease {
        item.extend_from_slice(&lease.token.0.to_le_bytes());
        item.extend_from_slice(&lease.until.to_le_bytes());
    }
    item.extend_from_slice(carried.as_bytes());
    item.extend_from_slice(value);
    item.into()
}

/// Takes an item apart without a copy.
pub(crate) fn open(carried: &str, mut item: Bytes) -> Found {
    let Some(head) = head_of(&item) else { return Found::Foreign };
    let length = usize::from(u16::from_le_bytes([item[4], item[5]]));
    item.advance(if head.lease.is_some() { HEAD_BYTES + LEASE_BYTES } else { HEAD_BYTES });
    match item.get(..length) {
        None => Found::Foreign,
        Some(key) if key != carried.as_bytes() => Found::OtherKey,
        Some(_) => {
            item.advance(length);
            Found::Own(head, item)
        }
    }
}

fn head_of(item: &[u8]) -> Option<Head> {
    if item.len() < HEAD_BYTES || item[..3] != MAGIC {
        return None;
    }
    let kind = match item[3] {
        0 => Kind::Value,
        1 => Kind::Removed,
        _ => return None,
    };
    let lease = match usize::from(u16::from_le_bytes([item[6], item[7]])) {
        0 => None,
        LEASE_BYTES if item.len() >= HEAD_BYTES + LEASE_BYTES => Some(Leased {
            token: LeaseToken(u64::from_le_bytes(eight(item, HEAD_BYTES))),
            until: i64::from_le_bytes(eight(item, HEAD_BYTES + 8)),
        }),
        _ => return None,
    };
    let expires = i64::from_le_bytes(eight(item, 16));
    Some(Head {
        kind,
        version: Sequence(u64::from_le_bytes(eight(item, 8))),
        expires: (expires != NEVER).then_some(expires),
        lease,
    })
}

fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    let mut part = [0; 8];
    part.copy_from_slice(&bytes[at..at + 8]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head =
        Head { kind: Kind::Value, version: Sequence(7), expires: Some(1_234), lease: None };
    const LEASE: Leased = Leased { token: LeaseToken(9), until: 5_678 };

    #[test]
    fn what_was_sealed_opens_for_its_key_alone() {
        let leased = Head { lease: Some(LEASE), ..HEAD };
        let removed = Head::removed(Sequence(u64::MAX));
        for head in [HEAD, Head { expires: None, ..HEAD }, removed, leased] {
            for (carried, value) in [("", "value"), ("a key", ""), ("", "")] {
                let item = seal(head, carried, value.as_bytes());
                assert_eq!(open(carried, item.clone()), Found::Own(head, value.into()));
                assert_eq!(open("another", item), Found::OtherKey);
            }
        }
    }

    #[test]
    fn golden_items_stay_readable() {
        let golden = [
            &b"ce\x01\x00\x03\x00\x00\x00"[..],
            &[7, 0, 0, 0, 0, 0, 0, 0, 0xd2, 4, 0, 0, 0, 0, 0, 0],
            b"keyvalue",
        ];
        assert_eq!(seal(HEAD, "key", b"value"), golden.concat());
        let golden = [
            &b"ce\x01\x00\x03\x00\x10\x00"[..],
            &[7, 0, 0, 0, 0, 0, 0, 0, 0xd2, 4, 0, 0, 0, 0, 0, 0],
            &[9, 0, 0, 0, 0, 0, 0, 0, 0x2e, 0x16, 0, 0, 0, 0, 0, 0],
            b"keyvalue",
        ];
        let leased = Head { lease: Some(LEASE), ..HEAD };
        assert_eq!(seal(leased, "key", b"value"), golden.concat());
    }

    #[test]
    fn bytes_of_others_are_never_a_value() {
        let item = seal(HEAD, "key", b"value");
        for cut in 0..HEAD_BYTES + 3 {
            assert_eq!(open("key", item.slice(..cut)), Found::Foreign, "cut to {cut}");
        }
        for at in [0, 1, 2, 3, 6, 7] {
            let mut changed = item.to_vec();
            changed[at] ^= 0x80;
            assert_eq!(open("key", changed.into()), Found::Foreign, "byte {at}");
        }
        let leased = seal(Head { lease: Some(LEASE), ..HEAD }, "key", b"value");
        for cut in 0..HEAD_BYTES + LEASE_BYTES + 3 {
            assert_eq!(open("key", leased.slice(..cut)), Found::Foreign, "cut to {cut}");
        }
        assert_eq!(open("", Bytes::from_static(b"hello")), Found::Foreign);
    }

    #[test]
    fn a_value_ends_at_its_exact_millisecond() {
        assert!(HEAD.is_live(1_233) && !HEAD.is_live(1_234));
        assert!(Head { expires: None, ..HEAD }.is_live(i64::MAX));
        assert!(!Head::removed(Sequence(1)).is_live(0));
    }
}
