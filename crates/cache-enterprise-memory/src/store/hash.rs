//! Keys found again by their hash alone.
//!
//! The expiry wheel keeps eight bytes an entry: the hash of the key. To find the entry again, a
//! [`HashedKey`] must arrive in the map with exactly that hash. A hash cannot be run backwards, so
//! the hasher has a side door: one method no key in practice calls carries the finished hash. For
//! every other key the door is a constant the optimiser removes.

use std::hash::{BuildHasher, Hash, Hasher};

use cache_enterprise_core::Scoped;
#[cfg(shuttle)]
use cache_enterprise_core::sync::MapHashBuilder as DefaultHashBuilder;
use equivalent::Equivalent;
#[cfg(not(shuttle))]
use quick_cache::DefaultHashBuilder;

/// Upper half of the number that announces a finished hash.
const FINISHED: i128 = 0x6b65_7920_6279_2068 << 64;

/// The map's own hasher, with the side door.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHashBuilder(DefaultHashBuilder);

impl BuildHasher for KeyHashBuilder {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { inner: self.0.build_hasher(), finished: None }
    }
}

pub(crate) struct KeyHasher {
    inner: <DefaultHashBuilder as BuildHasher>::Hasher,
    finished: Option<u64>,
}

macro_rules! forward {
    ($($method:ident: $type:ty),*) => {
        $(#[inline]
        fn $method(&mut self, value: $type) {
            self.inner.$method(value);
        })*
    };
}

impl Hasher for KeyHasher {
    #[inline]
    fn finish(&self) -> u64 {
        match self.finished {
            None => self.inner.finish(),
            Some(hash) => hash,
        }
    }

    forward!(
        write: &[u8], write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64,
        write_u128: u128, write_usize: usize, write_i8: i8, write_i16: i16, write_i32: i32,
        write_i64: i64, write_isize: isize
    );

    /// A key of type `i128` with the announcing upper half takes the side door too: it then hashes
    /// to its lower half, which is a hash like any other.
    #[inline]
    fn write_i128(&mut self, value: i128) {
        let (upper, lower) = ((value >> 64) << 64, value as u64);
        if upper == FINISHED {
            self.finished = Some(lower);
        } else {
            self.inner.write_i128(value);
        }
    }
}

/// Stands for whichever stored key has this hash.
pub(crate) struct HashedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) builder: &'a KeyHashBuilder,
}

impl Hash for HashedKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i128(FINISHED | i128::from(self.hash));
    }
}

impl<K: Hash> Equivalent<Scoped<K>> for HashedKey<'_> {
    fn equivalent(&self, key: &Scoped<K>) -> bool {
        self.builder.hash_one(key) == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_key_arrives_with_its_hash_and_finds_its_key() {
        let builder = KeyHashBuilder::default();
        for number in 0..1_000_u64 {
            let key = Scoped { tenant: 3, key: format!("key {number}") };
            let hash = builder.hash_one(&key);
            let hashed = HashedKey { hash, builder: &builder };
            assert_eq!(builder.hash_one(&hashed), hash);
            assert!(hashed.equivalent(&key));
            assert!(!hashed.equivalent(&Scoped { tenant: 4, key: key.key.clone() }));
        }
    }

    #[test]
    fn wide_integers_hash_like_before_on_both_sides_of_the_door() {
        let builder = KeyHashBuilder::default();
        assert_eq!(builder.hash_one(5_i128), builder.hash_one(5_i128));
        assert_ne!(builder.hash_one(5_i128), builder.hash_one(6_i128));
        assert_ne!(builder.hash_one(FINISHED | 1), builder.hash_one(FINISHED | 2));
    }
}
