//! How a store in memory chooses what leaves, without knowing what it keeps.

use std::fmt;

use crate::{Millis, RemovalCause};

/// Where a shard keeps an entry: a small number that is reused after the entry left. A policy may
/// index arrays with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a policy learns of an entry that comes in.
///
/// ```
/// use cache_enterprise_core::Candidate;
///
/// let plain = Candidate::new(0x5eed, 1);
/// assert_eq!((plain.worth, plain.load_micros, plain.ends_at), (1.0, 0, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The hash of tenant and key: the name under which a policy remembers what has left.
    pub hash: u64,
    /// The weight in the unit of the capacity, at least 1.
    pub weight: u64,
    /// How much more than others this entry is worth keeping; 1 is normal, always finite and
    /// above 0.
    pub worth: f32,
    /// Which rule gave the worth, for policies that keep a share for each class; 0 where none did.
    pub class: u8,
    /// Microseconds that loading the value took; 0 where nobody measured it.
    pub load_micros: u32,
    /// When the entry ends by age.
    pub ends_at: Option<Millis>,
}

impl Candidate {
    /// A candidate of which nothing else is known.
    pub const fn new(hash: u64, weight: u64) -> Self {
        Self { hash, weight, worth: 1.0, class: 0, load_micros: 0, ends_at: None }
    }

    /// With this worth and the class it comes from.
    #[must_use]
    pub const fn worth(mut self, worth: f32, class: u8) -> Self {
        self.worth = worth;
        self.class = class;
        self
    }

    /// With the microseconds its load took.
    #[must_use]
    pub const fn load_micros(mut self, micros: u32) -> Self {
        self.load_micros = micros;
        self
    }

    /// With all that is known to speak for it.
    #[must_use]
    pub const fn merit(self, merit: Merit) -> Self {
        self.worth(merit.worth, merit.class).load_micros(merit.load_micros)
    }

    /// With the moment its life ends.
    #[must_use]
    pub const fn ends_at(mut self, at: Option<Millis>) -> Self {
        self.ends_at = at;
        self
    }
}

/// What speaks for keeping an entry besides its use: told to a store with the entry, and by the
/// store to its policy.
///
/// ```
/// use cache_enterprise_core::{Candidate, Merit};
///
/// let merit = Merit::new(4.0, 2).loaded_in(1_500);
/// let candidate = Candidate::new(0x5eed, 1).merit(merit);
/// assert_eq!((candidate.worth, candidate.class, candidate.load_micros), (4.0, 2, 1_500));
/// assert_eq!(Merit::new(f32::NAN, 0), Merit::NORMAL);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merit {
    worth: f32,
    class: u8,
    load_micros: u32,
}

impl Merit {
    /// Of an entry of which nothing is known.
    pub const NORMAL: Self = Self { worth: 1.0, class: 0, load_micros: 0 };

    /// Worth so many times a normal entry, by the rule of this class; 0 is no class. A worth that
    /// is not finite or not above 0 counts as 1.
    pub fn new(worth: f32, class: u8) -> Self {
        let worth = if worth.is_finite() && worth > 0.0 { worth } else { 1.0 };
        Self { worth, class, load_micros: 0 }
    }

    /// With the microseconds that loading the value took; 0 where nobody measured it.
    #[must_use]
    pub const fn loaded_in(mut self, micros: u32) -> Self {
        self.load_micros = micros;
        self
    }

    /// Worth so many times as much.
    #[must_use]
    pub fn times(self, factor: f32) -> Self {
        Self::new(self.worth * factor, self.class).loaded_in(self.load_micros)
    }

    /// How much more than a normal entry it is worth: finite and above 0.
    pub const fn worth(&self) -> f32 {
        self.worth
    }

    /// Which rule gave the worth; 0 where none did.
    pub const fn class(&self) -> u8 {
        self.class
    }

    /// Microseconds that loading the value took; 0 where nobody measured it.
    pub const fn load_micros(&self) -> u32 {
        self.load_micros
    }
}

impl Default for Merit {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// What a policy says when room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This entry leaves.
    Evict(Slot),
    /// The newcomer does not come in; nothing else changes.
    Refuse,
}

/// How a store tells a policy of hits. A hit never calls the policy and never takes the lock that
/// the policy stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Hits do not matter to the policy.
    Nothing,
    /// The store counts an entry's hits up to `max`; the policy reads and clears the count in
    /// [`HitMarks`] when it looks at the entry.
    Marks {
        /// Hits beyond this are not counted.
        max: u8,
    },
    /// The store notes which slots were hit and calls [`EvictionPolicy::hit`] for each at the next
    /// write, in about their order. Under a storm of hits without any write some are dropped.
    Queue,
}

/// The hits of each slot since they were last taken, for policies of [`Recording::Marks`].
pub trait HitMarks {
    /// The count, which starts again from zero.
    fn take(&self, slot: Slot) -> u8;

    /// Sets the count, such as to one less than was taken.
    fn set(&self, slot: Slot, count: u8);
}

/// Chooses what leaves one shard of a store. It stands under the shard's lock, is told of all that
/// enters and leaves, and speaks of slots, weights and hashes only.
///
/// For each newcomer the store calls [`arrive`](Self::arrive) once, [`victim`](Self::victim) as
/// long as room is missing, and [`insert`](Self::insert) unless it was refused. Each slot that a
/// verdict names is removed at once. Pinned entries are never told of. No call may panic, whatever
/// the order of slots and hashes.
///
/// ```
/// use std::collections::VecDeque;
///
/// use cache_enterprise_core::{
///     Candidate, EvictionPolicy, HitMarks, Recording, RemovalCause, Slot, Verdict,
/// };
///
/// /// What came first leaves first.
/// #[derive(Debug, Default)]
/// struct Fifo(VecDeque<Slot>);
///
/// impl EvictionPolicy for Fifo {
///     fn recording(&self) -> Recording {
///         Recording::Nothing
///     }
///
///     fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
///         self.0.front().map_or(Verdict::Refuse, |oldest| Verdict::Evict(*oldest))
///     }
///
///     fn insert(&mut self, slot: Slot, _: &Candidate) {
///         self.0.push_back(slot);
///     }
///
///     fn remove(&mut self, slot: Slot, _: RemovalCause) {
///         self.0.retain(|other| *other != slot);
///     }
/// }
/// ```
pub trait EvictionPolicy: fmt::Debug + Send {
    /// How hits are to be recorded. Asked once.
    fn recording(&self) -> Recording;

    /// A key was looked for in vain and its value is on its way in.
    fn arrive(&mut self, newcomer: &Candidate) {
        let _ = newcomer;
    }

    /// Names what leaves so that `newcomer` finds room. Without a newcomer the shard shrinks, and
    /// the verdict is [`Verdict::Refuse`] only when there is nothing left to evict.
    fn victim(&mut self, newcomer: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict;

    /// The newcomer is in. Its mark is zero.
    fn insert(&mut self, slot: Slot, newcomer: &Candidate);

    /// The entry in the slot was hit. Called for policies of [`Recording::Queue`] only, late, and
    /// not for every hit.
    fn hit(&mut self, slot: Slot) {
        let _ = slot;
    }

    /// The entry in the slot has a new value, and with it perhaps another weight.
    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        let _ = (slot, candidate);
    }

    /// The entry in the slot has left. Only what left as [`RemovalCause::Evicted`] is worth
    /// remembering.
    fn remove(&mut self, slot: Slot, cause: RemovalCause);

    /// The shard may now hold this much.
    fn resize(&mut self, capacity: u64) {
        let _ = capacity;
    }

    /// In words, why the entry in the slot stands where it does; nothing where the policy cannot
    /// say. For people: called seldom, and changes nothing.
    fn account(&self, slot: Slot) -> Option<String> {
        let _ = slot;
        None
    }
}

/// What a policy is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyShape {
    /// What the shard may hold, in the unit of the weights.
    pub capacity: u64,
    /// Entries the shard is expected to hold.
    pub entries: usize,
    /// Makes the random choices of one policy differ from those of another.
    pub seed: u64,
}

impl PolicyShape {
    /// A shard of this capacity that holds about so many entries.
    pub const fn new(capacity: u64, entries: usize, seed: u64) -> Self {
        Self { capacity, entries, seed }
    }
}

/// Makes one policy for each shard of a store. One factory may serve many stores.
pub trait PolicyFactory: fmt::Debug + Send + Sync + 'static {
    /// The name under which users choose it, such as `s3-fifo`.
    fn name(&self) -> &str;

    /// A policy for a new shard.
    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy>;

    /// The policies of all shards of one new store, in the order of their shapes. Those that learn
    /// may learn together; by default they know nothing of each other.
    fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
        shapes.iter().map(|shape| self.create(shape)).collect()
    }
}
