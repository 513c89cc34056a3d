//! What lies under a key: a head of nine bytes, then the value.
//!
//! ```text
//! 'v' version (8 bytes, big-endian) value     a value
//! 'r' version (8 bytes, big-endian)           a removal: refuses what is older, reads as a miss
//! ```
//!
//! Head and value are one string, so that a read is a plain `GET` or `MGET`, and one function at
//! the server compares and sets.

use bytes::{Buf, Bytes};
use cache_enterprise_core::Sequence;

/// Bytes of the head. `values.lua` knows the number too.
pub(crate) const HEAD_BYTES: usize = 9;

const VALUE: u8 = b'v';
const REMOVAL: u8 = b'r';

/// What a string under one of our keys is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Value(Bytes),
    Removal,
    /// Not written by us.
    Foreign,
}

/// The head of a value.
pub(crate) fn head(version: Sequence) -> [u8; HEAD_BYTES] {
    let mut head = [VALUE; HEAD_BYTES];
    head[1..].copy_from_slice(&self::version(version));
    head
}

/// What the bytes of a key are; the value is not copied.
pub(crate) fn open(mut record: Bytes) -> Record {
    if record.len() < HEAD_BYTES {
        return Record::Foreign;
    }
    match record[0] {
        VALUE => {
            // Unlike a split, it needs no count of who shares the bytes.
            record.advance(HEAD_BYTES);
            Record::Value(record)
        }
        REMOVAL if record.len() == HEAD_BYTES => Record::Removal,
        _ => Record::Foreign,
    }
}

/// A version as functions take it.
pub(crate) fn version(version: Sequence) -> [u8; 8] {
    version.0.to_be_bytes()
}

/// The version that a head tells, whatever follows it; `None` for what is not written by us.
pub(crate) fn version_of(head: &[u8]) -> Option<Sequence> {
    match head.split_first()? {
        (&(VALUE | REMOVAL), rest) => number(rest.get(..HEAD_BYTES - 1)?),
        _ => None,
    }
}

/// The version that a function gave.
pub(crate) fn number(bytes: &[u8]) -> Option<Sequence> {
    Some(Sequence(u64::from_be_bytes(bytes.try_into().ok()?)))
}

/// Whether a record that begins with `first` is a value.
pub(crate) fn is_value(first: &[u8]) -> bool {
    first.first() == Some(&VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: stored entries have this form.
    #[test]
    fn a_record_has_had_this_form_since_the_first_version() {
        assert_eq!(&head(Sequence(0x0102_0304_0506_0708)), b"v\x01\x02\x03\x04\x05\x06\x07\x08");
        let record = [&head(Sequence(7))[..], b"Ada"].concat();
        assert_eq!(open(record.into()), Record::Value(Bytes::from("Ada")));
        assert_eq!(open(Bytes::from_static(b"r\0\0\0\0\0\0\0\x01")), Record::Removal);
    }

    #[test]
    fn an_empty_value_is_a_value_and_anything_else_is_foreign() {
        assert_eq!(open(head(Sequence::ZERO).to_vec().into()), Record::Value(Bytes::new()));
        for foreign in [&b""[..], b"v", b"v1234567", b"r12345678x", b"x12345678value"] {
            assert_eq!(open(Bytes::copy_from_slice(foreign)), Record::Foreign, "{foreign:?}");
        }
    }
}
