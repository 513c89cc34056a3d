//! Who was removed lately, so that a load that began before cannot store afterwards.
//!
//! Keys hash to stripes; a stripe's lock makes "compare the version, then write" one step. A
//! stripe remembers its removals for [`MARK_LIFE`]. When it is full, its marks fold into one
//! floor per tenant: stores of that tenant from before the newest folded removal are refused.
//! That refuses more than it must, for as long as a mark lives, and never too little. A floor is
//! per tenant because sequences of different tenants cannot be compared.

use std::collections::HashMap;
use std::time::Duration;

use cache_enterprise_core::{Millis, Sequence, StoredKey, saturating_millis};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::record::KeyHash;

/// How long a removal is remembered: the longest load that is expected, with a margin.
pub(crate) const MARK_LIFE: Duration = Duration::from_secs(600);

const STRIPES: usize = 64;
const STRIPE_MARKS_MAX: usize = 2_048;

#[derive(Clone, Copy, Debug)]
struct Mark {
    tenant: u64,
    version: Sequence,
    at: Millis,
}

impl Mark {
    fn is_over(&self, now: Millis) -> bool {
        now.saturating_sub(self.at) >= saturating_millis(MARK_LIFE)
    }
}

type Stripe = HashMap<u64, Mark>;

/// The removal marks of one backend.
#[derive(Debug)]
pub(crate) struct Marks {
    stripes: Box<[Mutex<Stripe>]>,
    /// By tenant.
    floors: RwLock<HashMap<u64, Mark>>,
}

impl Default for Marks {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { stripes, floors: RwLock::default() }
    }
}

impl Marks {
    /// Locks the key's stripe. Nothing else is locked before it; the shelves are locked after it.
    pub(crate) fn lock<'a>(&'a self, key: &'a StoredKey, hash: KeyHash) -> KeyLock<'a> {
        let index = usize::try_from(hash.0 >> 58).expect("six bits fit");
        KeyLock { marks: self, stripe: self.stripes[index].lock(), key, hash }
    }
}

/// A key whose stripe is locked.
#[derive(Debug)]
pub(crate) struct KeyLock<'a> {
    marks: &'a Marks,
    stripe: MutexGuard<'a, Stripe>,
    key: &'a StoredKey,
    hash: KeyHash,
}

impl KeyLock<'_> {
    /// The newest removal known for the key; a store from before it is refused.
    pub(crate) fn removed_at(&self, now: Millis) -> Sequence {
        let own = self.stripe.get(&self.hash.0).filter(|mark| !mark.is_over(now));
        let own = own.map_or(Sequence::ZERO, |mark| mark.version);
        let floors = self.marks.floors.read();
        if floors.is_empty() {
            return own;
        }
        let floor = floors.get(&self.tenant()).filter(|mark| !mark.is_over(now));
        own.max(floor.map_or(Sequence::ZERO, |mark| mark.version))
    }

    /// Remembers a removal.
    pub(crate) fn remember(&mut self, version: Sequence, now: Millis) {
        if self.stripe.len() >= STRIPE_MARKS_MAX {
            self.stripe.retain(|_, mark| !mark.is_over(now));
            if self.stripe.len() >= STRIPE_MARKS_MAX {
                self.fold(now);
            }
        }
        let tenant = self.tenant();
        let mark = self.stripe.entry(self.hash.0).or_insert(Mark { tenant, version, at: now });
        *mark = Mark { tenant, version: mark.version.max(version), at: now };
    }

    fn fold(&mut self, now: Millis) {
        let mut floors = self.marks.floors.write();
        floors.retain(|_, floor| !floor.is_over(now));
        for (_, mark) in self.stripe.drain() {
            let floor = floors.entry(mark.tenant).or_insert(mark);
            *floor = Mark { version: floor.version.max(mark.version), at: now, ..*floor };
        }
    }

    /// Manager and tenant, hashed together.
    fn tenant(&self) -> u64 {
        let (manager, tenant) = (self.key.manager().len(), self.key.tenant().len());
        KeyHash::of(&self.key.as_str().as_bytes()[..=manager + tenant]).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    fn key(tenant: &str, number: usize) -> StoredKey {
        let space = KeySpace::new("m", tenant, "c").expect("short names");
        space.key(&number).expect("a short key")
    }

    fn removed_at(marks: &Marks, key: &StoredKey, now: Millis) -> Sequence {
        marks.lock(key, KeyHash::of(key.as_str().as_bytes())).removed_at(now)
    }

    fn remember(marks: &Marks, key: &StoredKey, version: u64, now: Millis) {
        marks.lock(key, KeyHash::of(key.as_str().as_bytes())).remember(Sequence(version), now);
    }

    #[test]
    fn a_mark_lives_as_long_as_a_load_may_take() {
        let marks = Marks::default();
        let life = saturating_millis(MARK_LIFE);
        remember(&marks, &key("a", 1), 9, 100);
        remember(&marks, &key("a", 1), 5, 100);
        assert_eq!(removed_at(&marks, &key("a", 1), 100 + life - 1), Sequence(9));
        assert_eq!(removed_at(&marks, &key("a", 1), 100 + life), Sequence::ZERO);
        assert_eq!(removed_at(&marks, &key("a", 2), 100), Sequence::ZERO);
    }

    #[test]
    fn overflow_never_forgets_a_removal_and_leaves_other_tenants_alone() {
        let marks = Marks::default();
        let count = STRIPES * STRIPE_MARKS_MAX * 2;
        for number in 0..count {
            remember(&marks, &key("a", number), 7, 0);
        }
        for number in 0..count {
            assert_eq!(removed_at(&marks, &key("a", number), 1), Sequence(7), "key {number}");
        }
        assert_eq!(removed_at(&marks, &key("b", 1), 1), Sequence::ZERO);
        let held: usize = marks.stripes.iter().map(|stripe| stripe.lock().len()).sum();
        assert!(held <= STRIPES * STRIPE_MARKS_MAX, "{held} marks are held");
    }
}
