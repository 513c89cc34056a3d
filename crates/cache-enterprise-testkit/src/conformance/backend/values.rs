//! Values that show when they are torn or mixed.

use bytes::{BufMut, Bytes, BytesMut};

/// A value of `len` bytes (at least 16) that spells `number` all through, with its length.
pub(super) fn whole(number: u64, len: usize) -> Bytes {
    let len = len.max(16);
    let mut bytes = BytesMut::with_capacity(len + 8);
    bytes.put_u64(len as u64);
    let mut step = number;
    while bytes.len() < len {
        bytes.put_u64(step);
        step = step.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
    }
    bytes.truncate(len);
    bytes.freeze()
}

/// The number a value spells; `None` when the bytes are not one whole value.
pub(super) fn number_of(bytes: &Bytes) -> Option<u64> {
    let number = u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?);
    (*bytes == whole(number, bytes.len())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_number_and_a_torn_one_tells_none() {
        let value = whole(7, 100);
        assert_eq!(value.len(), 100);
        assert_eq!(number_of(&value), Some(7));
        let torn = [&value[..50], &whole(8, 100)[50..]].concat();
        assert_eq!(number_of(&torn.into()), None);
        assert_eq!(number_of(&value.slice(..99)), None);
        assert_eq!(number_of(&Bytes::new()), None);
    }
}
