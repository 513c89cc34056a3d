//! A store of one case, with short words for what cases do to it.

use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, RemovalCause, Scoped, ScopedRef, Sequence, SetOutcome,
};

use super::Store;
use crate::Seed;
use crate::conformance::case::{Verdict, ensure, ensure_eq};

pub(super) type Value = Arc<Entry<Vec<u8>>>;

/// What a case is given: how to open stores, and its seed.
pub(super) struct Subject<'a, S> {
    pub(super) open: &'a dyn Fn(Capacity) -> S,
    pub(super) seed: Seed,
    /// Whether the store may refuse what it could take.
    pub(super) is_selective: bool,
}

impl<S: Store> Subject<'_, S> {
    /// A store with room for all that a case without pressure puts.
    pub(super) fn roomy(&self) -> S {
        (self.open)(Capacity::bytes(64 << 20))
    }

    /// Sets where others must leave, and expects it stored and readable, or refused and not.
    pub(super) fn set_under_pressure(&self, store: &S, name: &str, entry: Value) -> Verdict {
        if !self.is_selective {
            return store.set_stored(name, entry);
        }
        let number = number_of(&entry);
        let outcome = store.set(name, entry);
        let expected = if outcome == SetOutcome::Stored { number } else { None };
        ensure_eq!(store.find(name), expected, "{name:?} right after {outcome:?}");
        Ok(())
    }

    pub(super) fn bytes(&self, capacity: u64) -> S {
        (self.open)(Capacity::bytes(capacity))
    }
}

/// An endless entry of this weight whose value spells `number`.
pub(super) fn entry(number: u64, weight: usize) -> Value {
    Arc::new(plain(number, Dates::lasting(0, None)).with_weight(weight))
}

/// An entry with these dates and a weight of 100.
pub(super) fn dated(number: u64, dates: Dates) -> Value {
    Arc::new(plain(number, dates).with_weight(100))
}

pub(super) fn plain(number: u64, dates: Dates) -> Entry<Vec<u8>> {
    Entry::new(number.to_be_bytes().to_vec(), Sequence(number), 0, dates)
}

pub(super) fn number_of(entry: &Value) -> Option<u64> {
    entry.value().as_slice().try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn key(tenant: u32, key: &str) -> Scoped<String> {
    Scoped { tenant, key: key.to_owned() }
}

/// Short words on a store; each call drops what leaves at once.
pub(super) trait StoreExt: Store {
    fn find(&self, name: &str) -> Option<u64> {
        self.find_of(0, name)
    }

    fn find_of(&self, tenant: u32, name: &str) -> Option<u64> {
        self.get(&ScopedRef { tenant, key: name }).as_ref().and_then(number_of)
    }

    fn set(&self, name: &str, entry: Value) -> SetOutcome {
        self.insert(key(0, name), entry, &mut Self::Leaving::default())
    }

    /// Sets and expects it stored and readable at once.
    fn set_stored(&self, name: &str, entry: Value) -> Verdict {
        let number = number_of(&entry);
        ensure_eq!(self.set(name, entry), SetOutcome::Stored, "insert of {name:?}");
        ensure_eq!(self.find(name), number, "{name:?} right after it was stored");
        Ok(())
    }

    fn take(&self, name: &str) -> Option<Value> {
        let at = ScopedRef { tenant: 0, key: name };
        self.remove(&at, RemovalCause::Removed, &mut Self::Leaving::default())
    }

    fn clear(&self) {
        self.retain(|_, _| false, RemovalCause::Invalidated, &mut Self::Leaving::default());
    }

    /// Turns until `now` often enough for bounded work to be done.
    fn turn_to(&self, now: u64) {
        for _ in 0..2_000 {
            self.turn(now, &mut Self::Leaving::default());
        }
    }

    /// The entries the store shows, counted one by one: number and sum of weights.
    fn counted(&self) -> (u64, u64) {
        let mut counted = (0, 0);
        self.for_each(|_, entry| {
            counted.0 += 1;
            counted.1 += u64::from(entry.weight());
        });
        counted
    }

    /// Expects the numbers of the store to be those of the entries it shows.
    fn expect_exact(&self) -> Verdict {
        let stats = self.stats();
        ensure_eq!((stats.entries, stats.weight), self.counted(), "entries and weight");
        ensure!(stats.weight <= stats.capacity, "weight {} over {}", stats.weight, stats.capacity);
        Ok(())
    }
}

impl<S: Store> StoreExt for S {}
