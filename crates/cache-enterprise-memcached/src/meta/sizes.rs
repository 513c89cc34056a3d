//! How large the replies of a cache tend to be.

use std::sync::atomic::{AtomicU32, Ordering};

use twox_hash::XxHash3_64;

use crate::name::Name;

const CELLS: usize = 64;
/// How much of an estimate one reply replaces.
const SHARE: i64 = 8;

/// A running estimate for each cache of each tenant. Caches that share a cell share an estimate,
/// and a wrong one costs time, never an answer.
#[derive(Debug)]
pub(super) struct Sizes {
    cells: [AtomicU32; CELLS],
}

impl Default for Sizes {
    fn default() -> Self {
        Self { cells: [const { AtomicU32::new(0) }; CELLS] }
    }
}

impl Sizes {
    /// Bytes that a reply under this name is expected to have.
    pub(super) fn expected(&self, name: &Name<'_>) -> usize {
        self.cell(name).load(Ordering::Relaxed) as usize
    }

    /// Notes the bytes of a reply. Two at once may lose one, which an estimate can bear.
    pub(super) fn learn(&self, name: &Name<'_>, bytes: usize) {
        let cell = self.cell(name);
        let old = cell.load(Ordering::Relaxed);
        let seen = i64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let step = match seen - i64::from(old) {
            // The first reply is the best guess there is.
            _ if old == 0 => seen,
            step if step.abs() >= SHARE => step / SHARE,
            step => step,
        };
        let new = u32::try_from(i64::from(old) + step).unwrap_or(u32::MAX);
        if new != old {
            cell.store(new, Ordering::Relaxed);
        }
    }

    fn cell(&self, name: &Name<'_>) -> &AtomicU32 {
        let key = name.key();
        let cache = key.bytes().enumerate().filter(|(_, byte)| *byte == b':').nth(2);
        let hash = XxHash3_64::oneshot(&key.as_bytes()[..cache.map_or(key.len(), |(at, _)| at)]);
        &self.cells[(hash % CELLS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::{KeySpace, StoredKey};

    fn key(cache: &str, key: &str) -> StoredKey {
        KeySpace::new("shop", "acme", cache).unwrap().key(&key.to_owned()).unwrap()
    }

    #[test]
    fn an_estimate_follows_what_was_seen_cache_by_cache() {
        let (users, images) = (key("users", "1"), key("images", "1"));
        let (users, images) = (Name::of(&users), Name::of(&images));
        let sizes = Sizes::default();
        sizes.learn(&users, 100);
        sizes.learn(&images, 1 << 20);
        assert_eq!((sizes.expected(&users), sizes.expected(&images)), (100, 1 << 20));
        for _ in 0..100 {
            sizes.learn(&users, 5_000);
            sizes.learn(&images, 10);
        }
        assert_eq!((sizes.expected(&users), sizes.expected(&images)), (5_000, 10));
        sizes.learn(&users, usize::MAX);
        assert!(sizes.expected(&users) > 100 << 20);
    }

    #[test]
    fn a_hashed_key_belongs_to_its_cache() {
        let (short, hashed) = (key("users", "1"), key("users", "a b"));
        let sizes = Sizes::default();
        sizes.learn(&Name::of(&hashed), 700);
        assert_eq!(sizes.expected(&Name::of(&short)), 700);
    }
}
