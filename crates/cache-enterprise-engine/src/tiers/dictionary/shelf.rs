//! The dictionaries that a process has at hand, each for one cache of one tenant.

use cache_enterprise_core::Millis;
use hashbrown::{Equivalent, HashMap};
use std::sync::Arc;

use super::Trained;

/// Dictionaries and absences that are remembered; the one unused for longest makes room.
const HELD_MAX: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    held: HashMap<Place, Held>,
    uses: u64,
}

/// A dictionary belongs to the space of a cache of a tenant: what another's is called the same is
/// never looked at.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    space: Box<str>,
    id: u32,
}

#[derive(Hash)]
struct PlaceRef<'a> {
    space: &'a str,
    id: u32,
}

impl Equivalent<Place> for PlaceRef<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.id == place.id && *self.space == *place.space
    }
}

#[derive(Debug)]
struct Held {
    what: What,
    used: u64,
}

#[derive(Debug)]
enum What {
    Here(Arc<Trained>),
    /// It was looked for and not found; it is looked for again from here on.
    Missing(Millis),
}

impl Shelf {
    pub(super) fn find(&mut self, space: &str, id: u32) -> Option<Arc<Trained>> {
        self.uses += 1;
        let held = self.held.get_mut(&PlaceRef { space, id })?;
        held.used = self.uses;
        match &held.what {
            What::Here(trained) => Some(Arc::clone(trained)),
            What::Missing(_) => None,
        }
    }

    /// Whether there is nothing to look for now: it is here, or was missed a moment ago.
    pub(super) fn settles(&self, space: &str, id: u32, now: Millis) -> bool {
        match self.held.get(&PlaceRef { space, id }).map(|held| &held.what) {
            Some(What::Here(_)) => true,
            Some(What::Missing(until)) => now < *until,
            None => false,
        }
    }

    pub(super) fn add(&mut self, space: &str, trained: Arc<Trained>) {
        self.note(space, trained.id, What::Here(trained));
    }

    pub(super) fn miss(&mut self, space: &str, id: u32, until: Millis) {
        self.note(space, id, What::Missing(until));
    }

    fn note(&mut self, space: &str, id: u32, what: What) {
        self.uses += 1;
        self.held.insert(Place { space: space.into(), id }, Held { what, used: self.uses });
        if self.held.len() > HELD_MAX {
            let least = self.held.values().map(|held| held.used).min();
            self.held.retain(|_, held| Some(held.used) != least);
        }
    }

    /// How many are here, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let here = self.held.values().filter_map(|held| match &held.what {
            What::Here(trained) => Some(trained.bytes.len()),
            What::Missing(_) => None,
        });
        here.fold((0, 0), |(many, sum), bytes| (many + 1, sum + bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiers::dictionary::tests::plain;

    #[test]
    fn a_dictionary_is_found_in_its_own_space_alone() {
        let mut shelf = Shelf::default();
        shelf.add("shop:acme:users:", plain(b"one"));
        let id = plain(b"one").id;
        assert!(shelf.find("shop:acme:users:", id).is_some());
        for space in ["shop:bolt:users:", "shop:acme:orders:", "shop::users:", ""] {
            assert!(shelf.find(space, id).is_none() && !shelf.settles(space, id, 0), "{space}");
        }
        assert!(shelf.find("shop:acme:users:", id ^ 1).is_none());
    }

    #[test]
    fn an_absence_is_believed_for_a_while() {
        let mut shelf = Shelf::default();
        shelf.miss("a", 7, 100);
        assert!(shelf.settles("a", 7, 99) && shelf.find("a", 7).is_none());
        assert!(!shelf.settles("a", 7, 100));
    }

    #[test]
    fn what_was_used_lately_stays_and_the_number_is_bounded() {
        let mut shelf = Shelf::default();
        let first = plain(b"first");
        shelf.add("a", Arc::clone(&first));
        for at in 0..500_u32 {
            match at % 2 {
                0 => shelf.add("a", plain(&at.to_le_bytes())),
                _ => shelf.miss("a", at, 100),
            }
            assert!(shelf.find("a", first.id).is_some() && shelf.held.len() <= HELD_MAX);
        }
        assert_eq!(shelf.size(), (64, 5 + 63 * 4));
    }
}
