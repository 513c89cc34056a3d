//! What entries weigh.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::Detail;
use cache_enterprise_memory::entry_overhead;

/// The unit of a cache's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Entries,
}

impl Unit {
    /// What an entry counts against the capacity.
    pub(crate) fn weight<K>(
        self,
        key_heap_bytes: usize,
        value_bytes: usize,
        detail: &Detail,
    ) -> usize {
        match self {
            Self::Bytes => {
                entry_overhead::<K>() + key_heap_bytes + value_bytes + detail.heap_bytes()
            }
            Self::Entries => 1,
        }
    }
}

/// Bytes of a value as far as its type tells: the common types of bytes and text with their heap,
/// any other without. The type is known when this is compiled, so one arm is left of all.
pub(crate) fn value_bytes<V: 'static>(value: &V) -> usize {
    let value: &dyn Any = value;
    let heap = if let Some(bytes) = value.downcast_ref::<Vec<u8>>() {
        bytes.capacity()
    } else if let Some(text) = value.downcast_ref::<String>() {
        text.capacity()
    } else if let Some(bytes) = value.downcast_ref::<Bytes>() {
        bytes.len()
    } else if let Some(bytes) = value.downcast_ref::<Box<[u8]>>() {
        bytes.len()
    } else if let Some(text) = value.downcast_ref::<Box<str>>() {
        text.len()
    } else if let Some(bytes) = value.downcast_ref::<Arc<[u8]>>() {
        bytes.len()
    } else if let Some(text) = value.downcast_ref::<Arc<str>>() {
        text.len()
    } else {
        0
    };
    size_of::<V>() + heap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_count_with_their_heap() {
        let head = size_of::<Vec<u8>>();
        assert_eq!(value_bytes(&Vec::<u8>::with_capacity(900)), head + 900);
        assert_eq!(value_bytes(&String::with_capacity(70)), head + 70);
        assert_eq!(value_bytes(&Bytes::from_static(&[0; 50])), size_of::<Bytes>() + 50);
        assert_eq!(value_bytes(&Box::<[u8]>::from([0; 50])), 16 + 50);
        assert_eq!(value_bytes(&Box::<str>::from("twelve bytes")), 16 + 12);
        assert_eq!(value_bytes(&Arc::<[u8]>::from([0; 50])), 16 + 50);
        assert_eq!(value_bytes(&Arc::<str>::from("twelve bytes")), 16 + 12);
        assert_eq!(value_bytes(&[7_u64; 4]), 32);
        assert_eq!(value_bytes(&vec![7_u64; 4]), head, "of other types only the size is known");
    }

    #[test]
    fn an_entry_with_tags_weighs_more() {
        let plain = Unit::Bytes.weight::<u64>(0, 100, &Detail::default());
        assert_eq!(plain, entry_overhead::<u64>() + 100);
        let idle = Detail { idle_ms: Some(5), ..Detail::default() };
        let detail = idle.heap_bytes();
        assert!(detail > 0);
        assert_eq!(Unit::Bytes.weight::<u64>(0, 100, &idle), plain + detail);
        assert_eq!(Unit::Entries.weight::<u64>(10, 100, &idle), 1);
    }
}
