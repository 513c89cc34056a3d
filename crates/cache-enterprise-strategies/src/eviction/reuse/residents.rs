//! What is resident: dense, so that a victim's rivals are drawn at random without a list.

use cache_enterprise_core::Slot;

use super::history::Name;
use super::past::Past;

/// No place: the slot holds nothing.
const NOWHERE: u32 = u32::MAX;

/// One resident, 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    pub(super) slot: Slot,
    pub(super) name: Name,
    pub(super) past: Past,
    /// What a use of it is worth over a use of others, for each unit of its weight.
    pub(super) factor: f32,
    /// Its weight, as far as 32 bits hold it.
    pub(super) weight: u32,
}

/// Residents in no order, and where each slot's resident stands.
#[derive(Debug)]
pub(super) struct Residents {
    dense: Vec<Resident>,
    places: Vec<u32>,
}

impl Residents {
    pub(super) fn with_capacity(entries: usize) -> Self {
        // What a user expects is no reason to take all of memory before anything is in it.
        let entries = entries.min(1 << 16);
        Self { dense: Vec::with_capacity(entries), places: Vec::with_capacity(entries) }
    }

    pub(super) fn len(&self) -> usize {
        self.dense.len()
    }

    /// The resident at a place below [`len`](Self::len).
    pub(super) fn at(&self, place: usize) -> &Resident {
        &self.dense[place]
    }

    pub(super) fn of(&self, slot: Slot) -> Option<&Resident> {
        self.dense.get(*self.places.get(slot.index())? as usize)
    }

    pub(super) fn of_mut(&mut self, slot: Slot) -> Option<&mut Resident> {
        self.dense.get_mut(*self.places.get(slot.index())? as usize)
    }

    /// Takes in a resident whose slot is free.
    pub(super) fn insert(&mut self, resident: Resident) {
        let slot = resident.slot.index();
        if self.places.len() <= slot {
            self.places.resize(slot + 1, NOWHERE);
        }
        self.places[slot] = self.dense.len() as u32;
        self.dense.push(resident);
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Resident> {
        let place = *self.places.get(slot.index())?;
        if place == NOWHERE {
            return None;
        }
        self.places[slot.index()] = NOWHERE;
        let removed = self.dense.swap_remove(place as usize);
        if let Some(moved) = self.dense.get(place as usize) {
            self.places[moved.slot.index()] = place;
        }
        Some(removed)
    }

    /// Every `step`-th resident's past.
    pub(super) fn sample(&self, step: usize) -> impl Iterator<Item = Past> {
        self.dense.iter().step_by(step).map(|resident| resident.past)
    }
}
